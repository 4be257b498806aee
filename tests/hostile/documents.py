"""Small complete documents in the form that this package writes them, to be altered: a report, recipes, labels, a
journal.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from fxpasses.cli.pruning.steps import Pruning
from fxpasses.quantization.config import Override, QuantConfig
from fxpasses.sensitivity.search.recipe_file import Recipe, recipe_toml

SHA = "0" * 64
LARGEST = {"max_abs_difference": 0.1, "max_abs_logit": 3.0}
ENVIRONMENT: dict[str, Any] = {
    **{"cpu": "a CPU", "flags": ["avx2"], "ram": "8 GB", "gpu": None, "threads": 2, "os": "Linux"},
    "versions": {"torch": "2.14", "fxpasses": "0.1.0", "onnx": None},
}


def report() -> dict[str, Any]:
    """A report with every possible part."""
    return {
        "report_version": 1,
        "created": "2026-01-01T00:00:00+00:00",
        "model": "digits_cnn",
        "data": "digits",
        "target": "x86",
        "environment": dict(ENVIRONMENT),
        "variants": [_variant("torch", "fp32"), _variant("torch", "int8"), _variant("onnxruntime", "int8")],
        "parity": _parity(),
        "runtime_agreement": {"images": 8, "top1_agreement": 99.0, "sqnr_db": 40.0, **LARGEST},
        "recipe": {"target": "x86", "exact": False, "overrides": [], "group_size": None},
        "qparams_sha256": SHA,
        "passes": [
            {
                "name": "fuse",
                "changed": [{"node": "conv", "what": "folded"}],
                "skipped": [{"node": "add", "why": "it is an add"}],
            }
        ],
        "layers": _layers(),
        "command": "fxpasses quantize digits_cnn --data digits",
        "model_details": {
            **{"spec": "digits_cnn", "weights": None, "weights_sha256": None, "seed": 0, "image_size": None},
            **{"pretrained": False, "input_shape": [1, 8, 8], "vocabulary": None},
            "preprocessing": {"mean": [0.0], "std": [1.0]},
        },
        "data_details": {"spec": "digits", "labels": None, "evaluation_images": 40, "has_labels": True},
        "durations": {"calibrate": 1.5},
        "audit": {
            **{"ok": True, "summary": "int8 throughout", "int8_ops": {"QLinearConv": 3}, "warnings": ["slow"]},
            **{"float_heavy": [], "float_light": [{"op": "Relu", "name": "relu", "reason": "its input is float"}]},
        },
        "pruning": _pruning(),
        "repairs": {
            "images": 8,
            "steps": [{"repair": "none", "setting": "-", "sqnr_db": 20.0, "gain_db": None, "top1_agreement": 98.0}],
        },
        "placement": [{"operator": "add", "nodes": 2, "speedup": 0.9, "in_float": False}],
        "warnings": ["the weights are random"],
    }


def _parity() -> dict[str, Any]:
    integers = {"values": 640, "differing": 2, "max_lsb": 1, "fraction_differing": 0.003}
    return {
        **{"images": 64, "top1_agreement": 100.0, "max_lsb": 1, "fraction_differing": 0.003},
        **{"max_lsb_at_any_node": 1, "first_divergence": "add (torch)", "node_images": 8},
        "against_reference": {"torch": integers},
        "nodes": [{"node": "add", "runtime": "torch", **integers}],
    }


def _layers() -> list[dict[str, Any]]:
    return [
        {
            **{"node": "conv", "module": "stem", "operator": "conv", "precision": "int8", "why": None},
            **{"shape": [4, 8, 8], "scale": 0.02, "zero_point": 128, "weights": 36},
        },
        {
            **{"node": "add", "module": None, "operator": "add", "precision": "float", "why": "kept"},
            **{"shape": None, "scale": None, "zero_point": None, "weights": 0},
        },
    ]


def _pruning() -> dict[str, Any]:
    size = {"params": 90, "nonzero_params": 80, "sparsity": 0.1, "macs": 500, "size_bytes": 400}
    size |= {"compressed_bytes": 300}
    return {
        **{"criterion": "l1", "granularity": "channel", "scope": "layer", "ratio": 0.3, "remark": None},
        **{"budget": {"resource": "macs", "share": 0.5}, "dense": size, "pruned": size},
        **{"channels": {"stem": {"kept": 3, "of": 4}}, "kept_whole": {"fc": "it is the last"}},
        "speedup_vs_dense": {"torch int8": {"median": 1.5, "q25": 1.4, "q75": 1.6}},
        "batch_norm_statistics": {"of": "calibration images", "taken_again": True},
    }


def _variant(runtime: str, precision: str) -> dict[str, Any]:
    is_float = precision == "fp32"
    latency: dict[str, Any] = {
        **{"batch": 1, "threads": 1, "runs": 50, "mean_ms": 1.0, "std_ms": 0.1, "p50_ms": 1.0, "p90_ms": 1.2},
        **{"p99_ms": 1.5, "items_per_s": 1000.0},
    }
    if not is_float:
        latency |= {"speedup_vs_fp32": 1.7, "speedup_quartiles": [1.6, 1.8]}
    return {
        **{"name": f"{runtime} {precision}", "runtime": runtime, "precision": precision, "size_bytes": 1000},
        **{"params": 90, "macs": 500, "nonzero_params": 90, "file": f"model.{precision}.onnx"},
        "accuracy": {"top1": 98.0, "images": 40},
        "vs_fp32": {"top1_agreement": 100.0, "sqnr_db": None if is_float else 38.0},
        "latency": [latency],
    }


def quant_recipe() -> dict[str, Any]:
    """Content of ``recipe.toml``."""
    settings = asdict(QuantConfig(overrides=(Override("node:add", keep_float=True), Override("fc", weight_bits=4))))
    settings["overrides"] = [{k: v for k, v in o.items() if v is not None} for o in settings["overrides"]]
    return {
        "format": 1,
        "quantize": {key: value for key, value in settings.items() if value is not None},
        "calibration": {"images": 16, "seed": 3},
        "result": {"qparams_sha256": SHA, "drop": 0.1},
    }


def quant_recipe_text() -> str:
    """The recipe of a quantization as TOML, by its writer."""
    config = QuantConfig(overrides=(Override("node:add", keep_float=True), Override("fc", weight_bits=4)))
    return recipe_toml(Recipe(config, 16, 3, {"qparams_sha256": SHA, "drop": 0.1}))


def prune_recipe() -> dict[str, Any]:
    """Content of ``recipe.json``."""
    settings = asdict(Pruning(ratio=0.3, layers=("conv*", "fc")))
    settings["layers"] = list(settings["layers"])
    return {"prune": settings}


def labels() -> dict[str, Any]:
    """Content of ``labels.json``."""
    return {"classes": [["cat", "a cat"], ["dog", "a dog"], "emu"]}


def journal() -> list[dict[str, Any]]:
    """Lines of a journal."""
    score = {"images": 40, "top1": 98.0, "loss": 0.1, "top1_agreement": 99.0, "sqnr_db": 38.0}
    weight = {"low": -1.0, "high": 1.0, "scale_low": 0.01, "scale_high": 0.02, "sqnr_db": 40.0}
    layer = {"alone": score, "kept_float": score, "alone_at_node_db": 30.0, "weight": weight}
    tried = [{"ratio": 0.5, "drop": 1.0}]
    largest = {"ratio": 0.5, "drop": 1.0, "evaluations": 4, "tried": tried, "is_monotone": True, "next_failing": 0.6}
    return [
        {"about": {"model": "net"}},
        {"key": ["score", 40, {}, {}, []], "value": score},
        {"key": [40, {}, [["conv", 0.5]]], "value": score},
        {"key": ["layer", 40, {}, {}, "conv"], "value": layer},
        {"key": ["latency", "x86", [], 1], "value": {"ms": 1.0, "speedup": 1.5}},
        {"key": ["largest", 40, {}, 1.0, ["conv"]], "value": largest},
    ]


def as_json(document: object) -> bytes:
    """A document as JSON; NaN and lone surrogates are written as Python does, which JSON does not know."""
    return json.dumps(document).encode()
