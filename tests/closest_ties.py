"""Brute force: the smallest distance of any result of an integer operation from a rounding tie."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fxpasses.export.engines.reference import multipliers
from fxpasses.quantization.int8.int8_calls import Int8Call
from fxpasses.quantization.int8.scales import table_of, window_size
from fxpasses.quantization.numbers.qparams import QParams
from fxpasses.quantization.numbers.tie_free import LARGEST_RESULT, distance_to_tie

_JUST_OUTSIDE = 0.75
"""Distance beyond the grid's end up to which results could still be rounded onto it."""
_MOST_RESULTS = 2**22


def closest_tie(call: Int8Call) -> float | None:
    """Least distance from a tie over all inputs that the grids allow; None for an operator that computes in float."""
    name, y = call.operator.name, call.y
    if call.shares_scale:
        return math.inf
    if call.layer is not None:
        return min(_of_multiples(m, _largest_sum(call)) for m in multipliers(call).tolist())
    if call.operator.elementwise:
        return _least(table_of(call.node, call.x[0]).double() / y.scale, y)
    if name == "add":
        a, b = (_centred(x) * (x.scale / y.scale) for x in call.x)
        return _least(a[:, None] + b[None], y)
    if name == "cat":
        return min(_least(_centred(x) * (x.scale / y.scale), y) for x in call.x)
    if name in ("mul", "matmul", "mean", "avg_pool2d", "adaptive_avg_pool2d"):
        return _of_multiples(math.prod(x.scale for x in call.x) / y.scale / window_size(call.node, name), math.inf)
    return None


def _centred(x: QParams) -> Tensor:
    return torch.arange(x.grid.low, x.grid.high + 1, dtype=torch.float64) - x.zero_point


def _largest_sum(call: Int8Call) -> float:
    """Upper limit of the accumulators of a layer."""
    assert call.layer is not None
    weights = call.layer.weight.double().abs().movedim(call.layer.axis, 0).flatten(1).sum(1).max()
    bias = 0.0 if call.layer.bias is None else float(call.layer.bias.abs().max())
    return float(weights) * 255 + bias


def _of_multiples(multiplier: float, largest: float) -> float:
    """Least distance of acc * multiplier from a tie, for every integer acc that is possible and does not saturate."""
    most = min(LARGEST_RESULT / multiplier, largest)
    assert most < _MOST_RESULTS, "too many to try"
    return float(distance_to_tie(torch.arange(0, most + 1, dtype=torch.float64) * multiplier).min())


def _least(steps: Tensor, y: QParams) -> float:
    q = steps + y.zero_point
    inside = steps[(q > y.grid.low - _JUST_OUTSIDE) & (q < y.grid.high + _JUST_OUTSIDE)]
    return float(distance_to_tie(inside).min()) if len(inside) else 0.5
