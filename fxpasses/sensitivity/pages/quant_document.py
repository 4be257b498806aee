"""``sensitivity.json`` of ``--method quant``, from which table, plots and page are made.

fp32, int8                  scores of the float model, and of the whole int8 graph by runtime
layers                      one entry for each layer or operator that can be int8, in the graph's order:
    rank                    1 is the most sensitive
    alone                   scores when it alone is int8; ``noise_percent``: its share of the noise of all layers
    kept_float              scores when it alone is float; ``gain_db``: gain in SQNR of the logits
    range, grid, weight     calibrated range, range of int8, and its weights
    in_place                its output in the int8 graph against float, by runtime; empty if it gives floats
    histogram               of its output: float, and int8 in place; null if it gives floats
tensors                     ``in_place`` of every other integer tensor: the input, and tensors that are only moved
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ..quant import LayerSensitivity, QuantSensitivity
from ..scoring import Score
from ..tensor_error import TensorError


def quant_document(found: QuantSensitivity) -> dict[str, Any]:
    """Result of a measurement, ready for JSON."""
    ranks = {layer.unit.name: rank for rank, layer in enumerate(found.ranked, 1)}
    results = {layer.unit.result for layer in found.layers}
    lead = next(iter(found.tensors), None)
    names = found.tensors[lead] if lead else {}
    return {
        "method": "quant",
        "images": found.float_score.images,
        "node_images": found.node_images,
        "fp32": found.float_score.to_json(),
        "int8": {runtime: score.to_json() for runtime, score in found.int8.items()},
        "layers": [_layer(layer, ranks[layer.unit.name], found) for layer in found.layers],
        "tensors": [
            {"node": name, **_tensor(name, error, found)} for name, error in names.items() if name not in results
        ],
    }


def _layer(layer: LayerSensitivity, rank: int, found: QuantSensitivity) -> dict[str, Any]:
    unit, whole = layer.unit, next(iter(found.int8.values()))
    errors = [tensors[unit.result] for tensors in found.tensors.values() if unit.result in tensors]
    return {
        "rank": rank,
        "node": unit.name,
        "module": unit.path,
        "operator": unit.operator,
        "weights": unit.weights,
        "alone": {
            **layer.alone.to_json(),
            **_drop(layer.alone, found.float_score),
            "noise_percent": layer.noise_percent,
            "at_node_sqnr_db": layer.alone_at_node_db,
        },
        "kept_float": {
            **layer.kept_float.to_json(),
            **_drop(layer.kept_float, found.float_score),
            "gain_db": _difference(layer.kept_float.sqnr_db, whole.sqnr_db),
        },
        "weight": None if layer.weight is None else asdict(layer.weight),
        **(_tensor(unit.result, errors[0], found) if errors else {"range": None, "grid": None, "in_place": {}}),
        "histogram": errors[0].histogram() if errors else None,
    }


def _tensor(name: str, error: TensorError, found: QuantSensitivity) -> dict[str, Any]:
    low, high = found.ranges.get(name, (None, None))
    grid = error.grid
    return {
        "range": {"low": low, "high": high},
        "grid": {
            "scale": grid.scale,
            "zero_point": grid.zero_point,
            "low": grid.range[0],
            "high": grid.range[1],
        },
        "in_place": {r: tensors[name].to_json() for r, tensors in found.tensors.items() if name in tensors},
    }


def _drop(score: Score, float_score: Score) -> dict[str, Any]:
    change = _difference(score.metric, float_score.metric)
    drop = _difference(float_score.top1, score.top1)
    if change is None and drop is not None:
        change = -drop
    return {"top1_drop": drop, "accuracy_change": change}


def _difference(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b
