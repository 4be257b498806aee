"""Quantization parameters: the linear mapping ``x = scale * (q - zero_point)``, and parameters for a range.

Rounding is half to even and saturating, as ONNX QuantizeLinear specifies. ``scale`` is kept as a Python float that
is exactly representable in float32, because both runtimes read it as float32.

Reference: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", section 2.1 (affine), and Krishnamoorthi 2018, arXiv:1806.08342 (symmetric, per channel).
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, replace

import torch

SMALLEST_SCALE = 2.0**-96
"""Smallest scale; smaller ones are replaced by 1, because the tensor is zero for int8."""


def as_float32(value: float) -> float:
    """The nearest float32, as a Python float."""
    rounded: float = struct.unpack("f", struct.pack("f", value))[0]
    return rounded


@dataclass(frozen=True)
class IntType:
    """An integer type: its torch dtype and the range of values in use."""

    dtype: torch.dtype
    low: int
    high: int

    @property
    def levels(self) -> int:
        return self.high - self.low


UINT8 = IntType(torch.uint8, 0, 255)
INT8 = IntType(torch.int8, -128, 127)
INT8_SYMMETRIC = IntType(torch.int8, -127, 127)
INT7_SYMMETRIC = IntType(torch.int8, -63, 63)
UINT16 = IntType(torch.uint16, 0, 65535)
INT16_SYMMETRIC = IntType(torch.int16, -32767, 32767)


@dataclass(frozen=True)
class QParams:
    """Per-tensor parameters of one activation: ``x = scale * (q - zero_point)``, ``low <= q <= high``."""

    scale: float
    zero_point: int
    grid: IntType

    @property
    def range(self) -> tuple[float, float]:
        """The real numbers that the smallest and the largest integer represent."""
        low, high = self.grid.low - self.zero_point, self.grid.high - self.zero_point
        return low * self.scale, high * self.scale

    def with_scale(self, scale: float) -> QParams:
        return replace(self, scale=as_float32(scale))


def affine_qparams(low: float, high: float, grid: IntType) -> QParams:
    """Parameters that cover [low, high] and represent zero exactly; low > 0 and high < 0 are widened to zero.

    Raises:
        ValueError: low or high is not finite, or low > high.
    """
    if not (math.isfinite(low) and math.isfinite(high)) or low > high:
        raise ValueError(f"no quantization range: [{low}, {high}]")
    low, high = min(low, 0.0), max(high, 0.0)
    scale = as_float32((high - low) / grid.levels)
    if scale < SMALLEST_SCALE:
        return QParams(1.0, grid.low if low == 0.0 else grid.high, grid)
    zero_point = max(grid.low, min(grid.high, grid.low - round(low / scale)))
    return QParams(scale, zero_point, grid)


def symmetric_qparams(low: float, high: float, grid: IntType) -> QParams:
    """Parameters with zero_point 0 that cover [low, high] on a signed grid.

    Raises:
        ValueError: low or high is not finite, or low > high.
    """
    if not (math.isfinite(low) and math.isfinite(high)) or low > high:
        raise ValueError(f"no quantization range: [{low}, {high}]")
    scale = as_float32(max(abs(low), abs(high)) / grid.high)
    return QParams(scale if scale >= SMALLEST_SCALE else 1.0, 0, grid)
