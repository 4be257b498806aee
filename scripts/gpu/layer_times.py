"""Each layer compared with the roofline: its time, its rate, and the limit that it is closer to."""

from __future__ import annotations

import math
import time
from typing import Any

import torch
from torch import Tensor, nn

from fxpasses.export.engines.cuda.layers import CudaConv, CudaFloatResult, CudaLinear, WithSum
from fxpasses.export.engines.cuda.matrices import CudaMatmul
from fxpasses.export.engines.cuda.volumes import CudaVolumes
from fxpasses.export.engines.kernel import Kernel

ROUNDS = 5
Shapes = dict[str, tuple[list[Tensor], Tensor]]
"""Shapes of the inputs and the result of each kernel, as tensors without data, by the kernel's name."""


def layer_times(net: Any, x: Tensor, tops: float, gbps: float) -> list[dict[str, object]]:
    """One entry for each kernel of a lowered net.

    Args:
        net: on its device.
        x: the batch.
        tops: highest measured speed of int8 products on this card, in TOPS.
        gbps: memory bandwidth of the card in GB/s, measured or published.
    """
    times: dict[str, list[float]] = {}
    shapes: Shapes = {}
    clock = _Events() if x.device.type == "cuda" else _Wall()
    hooks: list[Any] = []
    for name, kernel in net.net.named_children():
        if isinstance(kernel, Kernel):
            hooks += _watched(name, kernel, clock, shapes)
    for _ in range(ROUNDS if x.device.type == "cuda" else 1):
        with torch.inference_mode():
            net.net(x)  # not the replayed graph, whose kernels have no hooks
        for name, took in clock.milliseconds().items():
            times.setdefault(name, []).append(took)
    for hook in hooks:
        hook.remove()
    kernels = dict(net.net.named_children())
    return [_entry(name, kernels[name], min(took), *shapes[name], tops, gbps) for name, took in times.items()]


def _watched(name: str, kernel: Kernel, clock: _Events | _Wall, shapes: Shapes) -> list[Any]:
    """Hooks that time a kernel and keep the shapes of its inputs and its result."""

    def begin(module: nn.Module, given: tuple[Any, ...]) -> None:
        clock.begin(name)

    def end(module: nn.Module, given: tuple[Any, ...], y: Tensor) -> None:
        clock.end(name)
        shapes[name] = [q.to("meta") for q in given if isinstance(q, Tensor)], y.to("meta")

    return [kernel.register_forward_pre_hook(begin), kernel.register_forward_hook(end)]


def _entry(
    name: str, kernel: nn.Module, took: float, inputs: list[Tensor], y: Tensor, tops: float, gbps: float
) -> dict[str, object]:
    layer = kernel.layer if isinstance(kernel, WithSum) else kernel
    weight, macs = 0, 0
    if isinstance(layer, (CudaConv, CudaLinear, CudaFloatResult, CudaVolumes)):
        constants = layer.constants
        weight = constants.weight.numel()
        phases = len(layer.table) if isinstance(layer, CudaVolumes) else 1  # of a transposed one: each has some taps
        macs = y.numel() * weight // constants.outputs // phases
    if isinstance(layer, CudaMatmul):
        macs = y.numel() * inputs[0].shape[-1]
    moved = sum(q.numel() * q.element_size() for q in inputs) + y.numel() * y.element_size() + weight
    at_best = {"compute": 2e-9 * macs / tops, "memory": 1e-6 * moved / gbps}
    bound = max(at_best, key=at_best.__getitem__)
    return {
        "layer": name, "kernel": type(kernel).__name__, "shape": list(y.shape), "ms": took, "macs": macs,
        "bytes": moved, "tops": 2e-9 * macs / took, "gbps": 1e-6 * moved / took, "bound": bound,
        "of_bound": at_best[bound] / took if math.isfinite(took) and took else 0.0,
    }  # fmt: skip


class _Events:
    """Times of kernels on a GPU by events, read after all have been launched."""

    def __init__(self) -> None:
        self._pairs: dict[str, tuple[Any, Any]] = {}

    def begin(self, name: str) -> None:
        pair = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        self._pairs[name] = pair
        pair[0].record()

    def end(self, name: str) -> None:
        self._pairs[name][1].record()

    def milliseconds(self) -> dict[str, float]:
        torch.cuda.synchronize()
        return {name: begin.elapsed_time(end) for name, (begin, end) in self._pairs.items()}


class _Wall:
    """Times of kernels on the CPU by the clock."""

    def __init__(self) -> None:
        self._took: dict[str, float] = {}

    def begin(self, name: str) -> None:
        self._took[name] = -time.perf_counter()

    def end(self, name: str) -> None:
        self._took[name] += time.perf_counter()

    def milliseconds(self) -> dict[str, float]:
        return {name: 1e3 * seconds for name, seconds in self._took.items()}
