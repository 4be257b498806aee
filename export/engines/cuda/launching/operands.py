"""Arguments of kernels, beside the tensors of bytes: biases, multipliers, ratios and limits, on the graph's device."""

from __future__ import annotations

import torch
from torch import Tensor

from fxpasses.quantization.int8.int8_calls import Int8Call, LayerIntegers
from fxpasses.quantization.numbers.qparams import QParams

from ...reference import multipliers, output_limits

LARGEST_RATIO = 2.0
"""Largest ``(s_a + s_b) / s_y`` of a sum to round in float32: its error is below ``tie_free.MARGIN`` up to 255."""

HALF = 128
"""Shift of unsigned bytes, by which they are multiplied as signed ones."""
_INT32 = 2**31 - 1


def is_unsigned(x: QParams) -> bool:
    return x.grid.dtype is torch.uint8


def as_signed(q: Tensor) -> Tensor:
    """The same bytes as int8, the type that kernels take."""
    return q if q.dtype is torch.int8 else q.view(torch.int8)


def signed_zero(x: QParams) -> int:
    """The zero point of bytes as a product reads them: unsigned bytes are shifted by 128."""
    return x.zero_point - HALF if is_unsigned(x) else x.zero_point


def padding_byte(x: QParams) -> int:
    """The byte of the zero point in memory, read as int8."""
    return x.zero_point - 2 * HALF if x.zero_point >= HALF else x.zero_point


def limits_of(call: Int8Call) -> list[int]:
    """The limits of an operation: its smallest and largest result without the zero point, and the zero point."""
    low, high = output_limits(call)
    return [low - call.y.zero_point, high - call.y.zero_point, call.y.zero_point]


def real_type(proved: bool, ratio: float = 1.0) -> torch.dtype:
    """The type to round in: float32 where tie-free scales prove that it rounds as exact arithmetic does."""
    return torch.float32 if proved and ratio <= LARGEST_RATIO else torch.float64


def corrected_bias(layer: LayerIntegers, x: QParams, groups: int = 1) -> Tensor:
    """``bias - zero_point * sum(weight)``, int32 ``[C_out]``: products are taken of bytes, zero points included."""
    total = layer.weight.flatten(1).sum(1, dtype=torch.int64)
    bias = torch.zeros_like(total) if layer.bias is None else layer.bias.to(torch.int64)
    return (bias - signed_zero(x) * total).to(torch.int32)


def why_sums_overflow(layer: LayerIntegers, x: QParams) -> str | None:
    """Why 32 bits may not hold a layer's sums, or their initial value; None if they always do."""
    weight = layer.weight.flatten(1).to(torch.int64)
    bias = 0 if layer.bias is None else layer.bias.to(torch.int64)
    total = weight.sum(1)
    begun = (bias - signed_zero(x) * total).abs() + HALF * weight.abs().sum(1)
    return "its sums may exceed 32 bits" if int(begun.max()) > _INT32 else None


def layer_multipliers(call: Int8Call, proved: bool) -> Tensor:
    """``s_x * s_w / s_y`` of each output channel."""
    return multipliers(call).to(real_type(proved)).contiguous()


def sum_ratios(add: Int8Call, first: int = 0) -> list[float]:
    """The step of each operand in steps of the sum, beginning with the operand ``first``."""
    ratios = [x.scale / add.y.scale for x in add.x]
    return ratios if first == 0 else ratios[::-1]


def on_device(values: list[int], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=torch.int32, device=like.device)
