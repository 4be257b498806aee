"""Ranges and gradients of fake quantization on a GPU: tensors throughout, so that no batch waits for a number.

They are those of the CPU, which works with Python numbers: mappings are computed in float64 and equal bit for bit,
gradients differ in the last bits of the ends of a range.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...quantization.numbers.qparams import SMALLEST_SCALE, IntType


def mapping_of(extremes: Tensor, grid: IntType, *, symmetric: bool) -> tuple[Tensor, Tensor]:
    """Step (float32, NaN if an end is not finite) and zero point (int32) for two ends, each of shape ``[1]``.

    The same as :func:`~fxpasses.quantization.numbers.qparams.affine_qparams` or ``symmetric_qparams``.
    """
    low, high = extremes.double().reshape(2, 1)
    low, high = low.clamp(max=0.0), high.clamp(min=0.0)
    if symmetric:
        step = (torch.maximum(-low, high) / grid.high).float()
        zero_point = torch.zeros_like(low)
        of_nothing = zero_point
    else:
        step = ((high - low) / grid.levels).float()
        zero_point = (grid.low - torch.round(low / step.double())).clamp(grid.low, grid.high)
        of_nothing = torch.where(low == 0, float(grid.low), float(grid.high))
    has_range = step >= SMALLEST_SCALE
    step, zero_point = torch.where(has_range, step, 1.0), torch.where(has_range, zero_point, of_nothing)
    finite = torch.isfinite(extremes).all()
    return torch.where(finite, step, torch.nan), torch.where(finite, zero_point, 0.0).to(torch.int32)


def within(gradient: Tensor, x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """The gradient where ``x`` lies between two ends, else 0: ``hardtanh_backward`` with tensors as ends."""
    return torch.where((x > low) & (x < high), gradient, 0.0)
