"""Runners and reports made by hand, to test code that reads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from fxpasses.machine.environment import environment


@dataclass(frozen=True)
class StubRunner:
    """A function in the role of an artifact, which counts its calls."""

    name: str
    function: Callable[..., Tensor] = field(default=lambda x: x, repr=False)
    precision: str = "int8"
    runtime: str = "torch"
    threads: int = 1

    def __call__(self, *inputs: Tensor) -> Tensor:
        return self.function(*inputs)

    def outputs(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return (self.function(*inputs),)

    def at_threads(self, threads: int) -> StubRunner:
        return replace(self, threads=threads)


def latency_entry(p50_ms: float, **changes: Any) -> dict[str, Any]:
    """One entry of ``latency`` around a median."""
    entry = {"batch": 1, "threads": 1, "runs": 100, "mean_ms": p50_ms, "std_ms": 0.1 * p50_ms, "p50_ms": p50_ms}
    return entry | {"p90_ms": 1.1 * p50_ms, "p99_ms": 1.5 * p50_ms, "items_per_s": 1000 / p50_ms} | changes


def sample_variant(runtime: str, precision: str, **changes: Any) -> dict[str, Any]:
    """A variant as in report.json."""
    is_float = precision == "fp32"
    speedup = {} if is_float else {"speedup_vs_fp32": 2.5, "speedup_quartiles": [2.4, 2.6]}
    return {
        "name": f"{runtime} {precision}",
        "runtime": runtime,
        "precision": precision,
        "size_bytes": 1_200_000 if is_float else 300_000,
        "params": 270_000,
        "macs": 40_000_000,
        "accuracy": {"top1": 91.5 if is_float else 91.2, "images": 1000},
        "vs_fp32": {"top1_agreement": 100.0 if is_float else 99.2, "sqnr_db": None if is_float else 30.5},
        "latency": [latency_entry(2.5 if is_float else 1.0, **speedup)],
    } | changes


def sample_parity(**changes: Any) -> dict[str, Any]:
    """A ``parity`` without a difference."""
    clean: dict[str, Any] = {"values": 100, "differing": 0, "max_lsb": 0, "fraction_differing": 0.0}
    return {
        "images": 100,
        "top1_agreement": 100.0,
        "max_lsb": 0,
        "fraction_differing": 0.0,
        "max_lsb_at_any_node": 0,
        "first_divergence": None,
        "against_reference": {"torch": clean, "onnxruntime": clean},
        "nodes": [{"node": "relu_int8", "runtime": runtime, **clean} for runtime in ("torch", "onnxruntime")],
    } | changes


def sample_report(**changes: Any) -> dict[str, Any]:
    """A complete report with every part."""
    conv = {"node": "relu_int8", "module": "features.0", "operator": "conv2d", "precision": "int8", "why": None}
    norm = {"node": "norm", "module": "head.norm", "operator": "layer_norm", "precision": "float", "why": "no kernel"}
    return {
        "model": "cifar_resnet20",
        "data": "cifar10=data",
        "target": "x86",
        "created": "2001-02-03T04:05:06+00:00",
        "environment": environment(),
        "variants": [sample_variant(r, p) for r in ("torch", "onnxruntime") for p in ("fp32", "int8")],
        "parity": sample_parity(),
        "recipe": {"observer": "histogram", "exact": False, "overrides": []},
        "qparams_sha256": "0123456789abcdef0123",
        "passes": [{"name": "convert", "changed": [{"node": "relu", "what": "absorbed"}], "skipped": []}],
        "layers": [
            conv | {"shape": [16, 32, 32], "scale": 0.02, "zero_point": 0, "weights": 432},
            norm | {"shape": [16], "scale": None, "zero_point": None, "weights": 16},
        ],
        "audit": {"ok": True, "summary": "int8 throughout", "int8_ops": {"QLinearConv": 21}, "warnings": []},
        "durations": {"quantize": 4.7},
        "model_details": {"weights": "resnet20.pt", "input_shape": [3, 32, 32], "pretrained": True},
        "data_details": {"calibration_images": 256},
        "warnings": ["a warning about something"],
        "command": "fxpasses quantize cifar_resnet20 --data cifar10=data",
    } | changes


def readable_report(**changes: Any) -> dict[str, Any]:
    """A report that can be read from a file: the parts that are samples of text alone are left out."""
    return sample_report(qparams_sha256="0" * 64, model_details=None, data_details=None) | changes


def two_class_logits(*scores: float) -> Tensor:
    """Logits ``[B, 2]`` whose class is 1 if the score is positive."""
    return torch.tensor([[0.0, score] for score in scores])
