"""Choose the faster of two kernels for the same integers, by measurements while a graph is lowered.

Both are timed alternately on random integers with the shape of the example inputs. The result is remembered in the
process by kind of operation (operator, shapes, settings, threads), so that a net with equal layers is measured once.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Hashable

import torch
from torch import Tensor

from fxpasses.graph.meta_keys import SHAPE
from fxpasses.quantization.int8.int8_calls import Int8Call

from . import quint8
from .kernel import Kernel

Make = Callable[[Int8Call], Kernel]

MARGIN = 1.05
"""Smallest ratio of times for which the other kernel is used; smaller ones are within the variation between runs."""
WARM_UP, ROUNDS = 3, 21
"""Calls of each kernel before and during the measurement; packed weights build their primitive at the first."""

_known: dict[Hashable, bool] = {}


def is_faster(other: Make, usual: Make, call: Int8Call) -> bool:
    """Whether the kernel from ``other`` is faster than the usual one by at least the margin.

    The kernels made for the measurement are dropped: those of oneDNN are bound to the shape of their first call.
    """
    kind = (_kind(call), other, usual, torch.get_num_threads())
    if kind not in _known:
        inputs = [_integers(call, i) for i in range(len(call.inputs))]
        _known[kind] = _ratio(usual(call), other(call), inputs) > MARGIN
    return _known[kind]


def _kind(call: Int8Call) -> Hashable:
    shapes = tuple(tuple(node.meta[SHAPE]) for node in call.inputs)
    settings = tuple(sorted((name, str(value)) for name, value in call.settings.items()))
    weight = None if call.layer is None else (tuple(call.layer.weight.shape), call.layer.bias is None)
    return call.operator.name, shapes, settings, weight, call.clamp is None


def _integers(call: Int8Call, index: int) -> Tensor:
    """Random integers in the form that a previous kernel would give: quint8, images channels last."""
    shape, x = call.inputs[index].meta[SHAPE], call.x[index]
    integers = torch.randint(x.grid.low, x.grid.high + 1, tuple(shape)).to(x.grid.dtype)
    if integers.dim() == 4:
        integers = integers.contiguous(memory_format=torch.channels_last)
    with quint8.building():
        return quint8.as_quint8(integers, x)


def _ratio(usual: Kernel, other: Kernel, inputs: list[Tensor]) -> float:
    """Median over calls of the usual kernel's time divided by the other's."""
    ratios = []
    with torch.inference_mode():
        for round_number in range(WARM_UP + ROUNDS):
            seconds = [_seconds(kernel, inputs) for kernel in (usual, other)]
            if round_number >= WARM_UP:
                ratios.append(seconds[0] / seconds[1])
    return statistics.median(ratios)


def _seconds(kernel: Kernel, inputs: list[Tensor]) -> float:
    started = time.perf_counter()
    kernel(*inputs)
    return time.perf_counter() - started
