"""Convolutions and linear layers on NVIDIA GPUs: products on tensor cores, and depthwise convolutions without them.

All constants are made when a graph is lowered. The sum behind a layer may be merged into it, which saves writing and
reading the layer's result once more; the merged layer computes both operators one after the other.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from fxpasses.quantization.int8.int8_calls import FloatResult, Int8Call, layer_of
from fxpasses.quantization.numbers.qparams import QParams

from ..geometry import Geometry
from ..kernel import Kernel
from .launching.launches import Images, LayerConstants, launch_depthwise, launch_product
from .launching.operands import (
    as_signed,
    corrected_bias,
    is_unsigned,
    layer_multipliers,
    limits_of,
    on_device,
    padding_byte,
    real_type,
    sum_ratios,
)
from .launching.window import Window, pair

WORD = 4
"""Least number of bytes that are copied at a time."""

MOST_PLACES = 2**31 - 1
"""Largest number of positions in a tensor that a kernel's 32-bit index can count."""

SPARE = [0, 0, 0]
"""Placeholder for the limits of an operator that is absent, such as the sum of a layer without one."""


class SummingLayer(Kernel):
    """A layer that the sum behind it can be merged into."""

    constants: LayerConstants
    y: QParams

    def for_sum(self, y: QParams, constants: LayerConstants) -> SummingLayer:
        """A copy of the layer with the constants of both operators, whose result is on the sum's grid."""
        twin = copy.copy(self)
        twin.y, twin.constants = y, constants
        return twin


class CudaConv(SummingLayer):
    """``[N, C_in, H, W]`` -> ``[N, C_out, H', W']``, bytes, channels last; 1d ones are images of one row.

    Fewer than four channels become four, so that those of a position are read as one word.

    Args:
        call: of a convolution.
        proved: whether its scales keep float32 from rounding otherwise than exact arithmetic.
    """

    def __init__(self, call: Int8Call, proved: bool) -> None:
        super().__init__()
        g, layer = Geometry(call), layer_of(call)
        self.y, self.is_1d = call.y, g.is_1d
        self.window = Window(pair(g.weight.shape[2:]), pair(g.stride), pair(g.padding), pair(g.dilation))
        self.is_depthwise = g.weight.shape[1] == 1 and g.groups > 1
        self.spare = 0 if self.is_depthwise or g.groups > 1 or g.weight.shape[1] >= WORD else WORD - g.weight.shape[1]
        weight = F.pad(g.weight, (0, 0, 0, 0, 0, self.spare))
        last = weight.permute(2, 3, 0, 1) if self.is_depthwise else weight.permute(0, 2, 3, 1)
        rows = self.window.positions if self.is_depthwise else len(weight)
        multiplier = layer_multipliers(call, proved)
        self.constants = LayerConstants(
            last.reshape(rows, -1).contiguous(), corrected_bias(layer, call.x[0]), multiplier, multiplier,
            on_device(limits_of(call) + SPARE, layer.weight), weight.shape[1], g.groups, padding_byte(call.x[0]),
            is_unsigned(call.x[0]),
        )  # fmt: skip

    def forward(self, q: Tensor, residual: Tensor | None = None) -> Tensor:
        whole = q
        q = as_signed(q.unsqueeze(2) if self.is_1d else q)
        if self.spare:
            q = F.pad(q.permute(0, 2, 3, 1), (0, self.spare)).permute(0, 3, 1, 2)
        q = q.contiguous(memory_format=torch.channels_last)
        count, _, height, width = q.shape
        at_once = fitting(q[:1].numel(), self.constants.outputs * math.prod(self.window.output_size(height, width)))
        if count > at_once:
            rest = [None] * count if residual is None else residual.split(at_once)
            return torch.cat([self(part, other) for part, other in zip(whole.split(at_once), rest, strict=False)])
        shape = (count, self.constants.outputs, *self.window.output_size(height, width))
        y = torch.empty(shape, dtype=self.y.grid.dtype, device=q.device, memory_format=torch.channels_last)
        if residual is not None:
            residual = as_signed(residual.unsqueeze(2) if self.is_1d else residual)
            residual = residual.contiguous(memory_format=torch.channels_last)
        launch = launch_depthwise if self.is_depthwise else launch_product
        launch(self.constants, self.window, q, Images(count, height, width), as_signed(y), residual)
        return y.squeeze(2) if self.is_1d else y


class CudaLinear(SummingLayer):
    """``[*, C_in]`` -> ``[*, C_out]``, bytes."""

    def __init__(self, call: Int8Call, proved: bool) -> None:
        super().__init__()
        layer = layer_of(call)
        self.y, multiplier = call.y, layer_multipliers(call, proved)
        self.constants = LayerConstants(
            layer.weight.contiguous(), corrected_bias(layer, call.x[0]), multiplier, multiplier,
            on_device(limits_of(call) + SPARE, layer.weight), layer.weight.shape[1], 1, 0, is_unsigned(call.x[0]),
        )  # fmt: skip

    def forward(self, q: Tensor, residual: Tensor | None = None) -> Tensor:
        y = torch.empty((*q.shape[:-1], self.constants.outputs), dtype=self.y.grid.dtype, device=q.device)
        _multiply(self.constants, q, as_signed(y), None if residual is None else as_signed(residual.contiguous()))
        return y


class CudaFloatResult(Kernel):
    """``[*, C_in]`` bytes -> ``[*, C_out]`` float32: exact sums, rounded to float32, times the scale of a sum."""

    def __init__(self, result: FloatResult) -> None:
        super().__init__()
        layer, scale = result.layer, result.scale.to(result.layer.weight.device)
        self.constants = LayerConstants(
            layer.weight.contiguous(), corrected_bias(layer, result.x), scale, scale,
            on_device(SPARE + SPARE, layer.weight), layer.weight.shape[1], 1, 0, is_unsigned(result.x),
        )  # fmt: skip

    def forward(self, q: Tensor) -> Tensor:
        y = torch.empty((*q.shape[:-1], self.constants.outputs), dtype=torch.float32, device=q.device)
        _multiply(self.constants, q, y, None)
        return y


def fitting(*bytes_of_one: int) -> int:
    """Number of samples to compute at a time, so that positions in all of their tensors fit into 32 bits."""
    return max(1, MOST_PLACES // max(bytes_of_one))


def _multiply(layer: LayerConstants, q: Tensor, y: Tensor, residual: Tensor | None) -> None:
    rows = Images(q.numel() // layer.channels, 1, 1)
    launch_product(layer, Window(), as_signed(q.contiguous()), rows, y, residual)


class WithSum(Kernel):
    """A layer merged with the sum behind it; its inputs are the layer's input and the sum's other operand.

    Args:
        layer: its kernel.
        layer_call, add: both operations.
        proved: whether the scales of both keep float32 from rounding otherwise than exact arithmetic.
    """

    def __init__(self, layer: SummingLayer, layer_call: Int8Call, add: Int8Call, proved: bool) -> None:
        super().__init__()
        index = add.inputs.index(layer_call.output)
        other = add.x[1 - index]
        ratios = sum_ratios(add, index)
        dtype = real_type(proved, sum(ratios))
        low, high, zero_point = limits_of(add)
        limits = [*limits_of(layer_call)[:2], zero_point, low, high, other.zero_point]
        self.layer = layer.for_sum(
            add.y,
            replace(
                layer.constants,
                multiplier=layer_multipliers(layer_call, dtype is torch.float32),
                ratios=torch.tensor(ratios, dtype=dtype, device=layer.constants.weight.device),
                limits=on_device(limits, layer.constants.weight),
                unsigned_residual=is_unsigned(other),
            ),
        )

    def forward(self, q: Tensor, residual: Tensor) -> Tensor:
        if len(q) != len(residual):  # a constant of one sample
            count = max(len(q), len(residual))
            q, residual = (x.expand(count, *x.shape[1:]) for x in (q, residual))
        y: Tensor = self.layer(q, residual)
        return y
