"""Errors of devices and of the GPU's engine: what raises one, a part of its remedy, and the same with it taken."""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import patch

import torch
from remedy_subjects import Case
from tiny_graphs import fresh_inputs, quantized
from tiny_nets.all_nets import TINY

from fxpasses.export import to_torch
from fxpasses.export.engines.cuda.readiness import require_kernels
from fxpasses.graph.devices import named_device, usable_device
from fxpasses.quantization.ranges.deferred import DeferredEnds
from fxpasses.quantization.ranges.observers import MinMaxObserver

NET = "conv_bn_relu"


def _with_gpus(count: int, call: Callable[[], object], capability: tuple[int, int] = (7, 5)) -> object:
    """``call`` on a machine with so many GPUs."""
    with (
        patch("torch.cuda.is_available", return_value=count > 0),
        patch("torch.cuda.device_count", return_value=count),
        patch("torch.cuda.get_device_capability", return_value=capability),
        patch("torch.cuda.get_device_name", return_value="a card"),
        patch("importlib.util.find_spec", return_value=object()),
    ):
        return call()


def _without_triton(call: Callable[[], object]) -> object:
    with patch("importlib.util.find_spec", return_value=None):
        return call()


def _not_interpreted(call: Callable[[], object]) -> object:
    with patch("fxpasses.export.engines.cuda.readiness.is_interpreted", return_value=False):
        return call()


def _by_reference(_: object) -> object:
    return to_torch(quantized(NET), "reference")(*fresh_inputs(TINY[NET], 1))


_GPU = torch.device("cuda")

CUDA_CASES: dict[str, Case] = {
    "export/engines/cuda/readiness.py:require_kernels": (
        lambda _: _without_triton(lambda: require_kernels(_GPU)),
        "engine='reference' computes the same integers on any machine",
        _by_reference,
    ),
    "export/engines/cuda/readiness.py:require_kernels#2": (
        lambda _: _with_gpus(0, lambda: require_kernels(_GPU)),
        "run it where nvidia-smi lists one",
        lambda _: _with_gpus(1, lambda: require_kernels(_GPU), (9, 0)),
    ),
    "export/engines/cuda/readiness.py:require_kernels#3": (
        lambda _: _with_gpus(1, lambda: require_kernels(_GPU)),
        "engine='reference' computes the same integers on any machine",
        _by_reference,
    ),
    "export/engines/cuda/readiness.py:require_kernels#4": (
        lambda _: _with_gpus(0, lambda: _not_interpreted(lambda: require_kernels(torch.device("cpu")))),
        "engine='reference' computes the same integers on any machine",
        _by_reference,
    ),
    "export/torch_int8.py:to_torch#3": (
        lambda _: to_torch(quantized(NET), "x86", device="cuda"),
        "leave device out",
        lambda _: to_torch(quantized(NET), "x86"),
    ),
    "fxpasses/graph/devices.py:named_device": (
        lambda _: named_device("gpu"),
        "use cuda, cuda:1 or cpu",
        lambda _: named_device("cuda:1"),
    ),
    "fxpasses/graph/devices.py:usable_device": (
        lambda _: _with_gpus(0, lambda: usable_device("cuda")),
        "use cpu",
        lambda _: usable_device("cpu"),
    ),
    "fxpasses/graph/devices.py:usable_device#2": (
        lambda _: _with_gpus(1, lambda: usable_device("cuda:3")),
        "use cuda:0",
        lambda _: _with_gpus(1, lambda: usable_device("cuda:0")),
    ),
    "fxpasses/graph/devices.py:usable_device#3": (
        lambda _: usable_device("meta"),
        "use cuda or cpu",
        lambda _: usable_device("cpu"),
    ),
    "fxpasses/quantization/ranges/deferred.py:add": (
        lambda _: DeferredEnds().add(torch.zeros(2, dtype=torch.int32)),
        "keep the operator that reads it in float",
        lambda _: DeferredEnds().add(torch.zeros(2, dtype=torch.int32).float()),
    ),
    "fxpasses/quantization/ranges/histogram.py:require_finite": (
        lambda _: MinMaxObserver()(torch.tensor([1.0, float("nan")])),
        "check the calibration data for NaN or infinity",
        lambda _: MinMaxObserver()(torch.tensor([1.0, float("nan")]).nan_to_num()),
    ),
}
