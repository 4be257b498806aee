"""Report entries of a QUANTIZED graph: its recipe, the log of its passes, and each of its operators."""

from __future__ import annotations

import json
from typing import Any

from torch import fx

from fxpasses.export.metadata import qparams_hash, recipe_text
from fxpasses.graph.edit import operator_of
from fxpasses.graph.meta_keys import HISTOGRAM, SHAPE, SQNR
from fxpasses.graph.operators import Scaling
from fxpasses.graph.pass_runner import pass_logs
from fxpasses.graph.shapes import is_float_tensor, shape_of
from fxpasses.graph.stages import graph_facts
from fxpasses.quantization.all_float import NO_INTEGER_FORM
from fxpasses.quantization.int8.int8_calls import FloatResult, Int8Call, find_float_results, find_int8_calls, qparams_of
from fxpasses.quantization.int8.names import layer_path
from fxpasses.quantization.numbers import ops

_AMONG_FLOATS = "it reads values that are not int8 here"


def graph_account(gm: fx.GraphModule) -> dict[str, Any]:
    """Entries ``recipe``, ``qparams_sha256``, ``passes`` and ``layers``, ready for JSON."""
    config = graph_facts(gm).config
    return {
        "recipe": json.loads(recipe_text(config)) if config is not None else None,
        "qparams_sha256": qparams_hash(gm),
        "passes": [
            {
                "name": log.name,
                "changed": [{"node": c.node, "what": c.what} for c in log.result.changed],
                "skipped": [{"node": s.node, "why": s.text} for s in log.result.skipped],
            }
            for log in pass_logs(gm)
        ],
        "layers": layers(gm),
    }


def layers(gm: fx.GraphModule) -> list[dict[str, Any]]:
    """Entries of every operator of the graph, in order.

    ``precision`` is int8 or float; ``why`` is the reason for float; ``node`` is the name of the integer tensor that it
    computes, by which parity names it; ``module`` is the path of the layer in the user's model, if it is one.
    """
    reasons = _reasons(gm)
    results = find_float_results(gm)
    calls = {output: call for output, call in find_int8_calls(gm).items() if _is_integer(call, reasons)}
    inside = {node for call in calls.values() for node in (call.node, call.output.args[0])}
    found = []
    for node in gm.graph.nodes:
        if node in calls:
            found.append(_int8_layer(calls[node]))
        elif node in results:
            found.append(_float_result(results[node]))
        elif node.target is ops.quantize:
            found.append(_grid(node))
        elif node not in inside and _computes(gm, node):
            found.append(_float_layer(gm, node, reasons))
    return found


def _is_integer(call: Int8Call, reasons: dict[str, str]) -> bool:
    """Whether an operator between integers computes on them; some of these compute in float."""
    is_float = call.operator.scaling is Scaling.FLOAT or call.node.op == "call_module" or call.node.name in reasons
    return not is_float


def _int8_layer(call: Int8Call) -> dict[str, Any]:
    weight = call.layer.weight if call.layer else None
    return {
        "node": call.name,
        "module": _layer_path(call.node) if call.layer else None,
        "operator": call.operator.name,
        "precision": "int8",
        "why": None,
        "shape": _one_item(call.output),
        "scale": call.y.scale,
        "zero_point": call.y.zero_point,
        "weights": 0 if weight is None else weight.numel(),
        **_measured(call.output),
    }


def _float_result(result: FloatResult) -> dict[str, Any]:
    return {
        "node": result.name,
        "module": _layer_path(result.node),
        "operator": result.operator.name,
        "precision": "int8",
        "why": None,
        "shape": _one_item(result.node),
        "scale": None,
        "zero_point": None,
        "weights": result.layer.weight.numel(),
    }


def _grid(node: fx.Node) -> dict[str, Any]:
    """Entry of a place where float becomes int8: the input, or the result of a float operator."""
    q = qparams_of(node)
    return {
        "node": node.name,
        "module": None,
        "operator": "quantize",
        "precision": "int8",
        "why": None,
        "shape": _one_item(node),
        "scale": q.scale,
        "zero_point": q.zero_point,
        "weights": 0,
        **_measured(node),
    }


def _measured(quantize: fx.Node) -> dict[str, Any]:
    """Measurements of an integer tensor: SQNR and histogram, each only if it was measured."""
    found = {"sqnr_db": quantize.meta.get(SQNR), "histogram": quantize.meta.get(HISTOGRAM)}
    return {key: value for key, value in found.items() if value is not None}


def _float_layer(gm: fx.GraphModule, node: fx.Node, reasons: dict[str, str]) -> dict[str, Any]:
    operator = operator_of(gm, node)
    is_module = node.op == "call_module"
    weight = getattr(gm.get_submodule(str(node.target)), "weight", None) if is_module else None
    return {
        "node": node.name,
        "module": str(node.target) if is_module else None,
        "operator": operator.name if operator else _name_of(node.target),
        "precision": "float",
        "why": reasons.get(node.name) or (operator.why_float if operator else NO_INTEGER_FORM) or _AMONG_FLOATS,
        "shape": _one_item(node),
        "scale": None,
        "zero_point": None,
        "weights": 0 if weight is None else weight.numel(),
    }


def _name_of(target: Any) -> str:
    """Name of a function: ``sinc`` for torch.sinc, ``pixels`` for torch.ops.fxpasses.pixels.default."""
    return str(getattr(target, "__name__", target)).removesuffix(".default")


def _computes(gm: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node makes a tensor from others; reading a buffer, or one of the numbers of a shape, does not count."""
    if node.op not in ("call_module", "call_function", "call_method") or node.target in ops.QUANTIZING:
        return False
    return is_float_tensor(node) or (operator_of(gm, node) is not None and SHAPE in node.meta)


def _reasons(gm: fx.GraphModule) -> dict[str, str]:
    skips = (skip for log in pass_logs(gm) for skip in log.result.skipped)
    return {s.node: s.why for s in skips if s.stays_float}


def _layer_path(layer: fx.Node) -> str:
    """Path of a layer, ``layer1.0.conv1``, from the path of its integers."""
    weight = layer.args[1]
    assert isinstance(weight, fx.Node)
    holder = str(weight.all_input_nodes[0].target).rpartition(".")[0]
    return layer_path(holder)


def _one_item(node: fx.Node) -> list[int] | None:
    """Shape without the batch."""
    shape = shape_of(node)
    return [int(size) for size in shape[1:]] if shape else None
