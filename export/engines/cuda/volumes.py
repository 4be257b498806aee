"""Convolutions over volumes, and transposed convolutions, on NVIDIA GPUs."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from fxpasses.quantization.int8.int8_calls import Int8Call, layer_of

from .launching.launches import LayerConstants
from .launching.operands import (
    HALF,
    as_signed,
    is_unsigned,
    layer_multipliers,
    limits_of,
    on_device,
    padding_byte,
    signed_zero,
)
from .launching.phases import Axis, Volumes
from .launching.volume_launches import MOST_PROGRAMS, launch_volumes, phased_weights
from .layers import SPARE, WORD, SummingLayer, fitting

DIMENSIONS = 3
_INT32 = 2**31 - 1


class CudaVolumes(SummingLayer):
    """conv3d and transposed convolutions: ``[N, C_in, *]`` -> ``[N, C_out, *]``, bytes, channels last.

    Args:
        call: of such a convolution.
        proved: whether its scales keep float32 from rounding otherwise than exact arithmetic.
    """

    def __init__(self, call: Int8Call, proved: bool) -> None:
        super().__init__()
        layer, groups = layer_of(call), _groups(call)
        self.y, self.lacking, self.volumes = call.y, DIMENSIONS - _dimensions(call), volumes_of(call)
        weight = _output_first(call)
        self.spare = 0 if groups > 1 else max(0, WORD - weight.shape[1])
        weight = F.pad(weight, (0,) * 2 * DIMENSIONS + (0, self.spare))
        bias = torch.zeros_like(weight[:, 0, 0, 0, 0], dtype=torch.int64)
        phased = phased_weights(
            weight, bias if layer.bias is None else layer.bias.long(), signed_zero(call.x[0]), self.volumes
        )
        self.table, multiplier = phased.table, layer_multipliers(call, proved)
        self.constants = LayerConstants(
            phased.weight, phased.bias, multiplier, multiplier, on_device(limits_of(call) + SPARE, layer.weight),
            weight.shape[1], groups, padding_byte(call.x[0]), is_unsigned(call.x[0]),
        )  # fmt: skip

    def forward(self, q: Tensor, residual: Tensor | None = None) -> Tensor:
        x = _last(self._in_three(as_signed(q)))
        if self.spare:
            x = F.pad(x.permute(0, 2, 3, 4, 1), (0, self.spare)).permute(0, 4, 1, 2, 3)
        count, sizes = len(x), self.volumes.output_size(x.shape[2:])
        at_once = fitting(x[:1].numel(), self.constants.outputs * math.prod(sizes))
        if count > at_once:
            rest = [None] * count if residual is None else residual.split(at_once)
            return torch.cat([self(part, other) for part, other in zip(q.split(at_once), rest, strict=False)])
        shape = (count, self.constants.outputs, *sizes)
        y = torch.empty(shape, dtype=self.y.grid.dtype, device=q.device, memory_format=torch.channels_last_3d)
        if residual is not None:
            residual = _last(self._in_three(as_signed(residual)))
        if y.numel():
            launch_volumes(self.constants, self.table, self.volumes, x, as_signed(y), residual)
        return y.flatten(2, 2 + self.lacking) if self.lacking else y

    def _in_three(self, q: Tensor) -> Tensor:
        return _led_by_ones(q, self.lacking)


def why_not_volumes(call: Int8Call) -> str | None:
    """Why the kernel cannot compute a call; None if it can."""
    layer = layer_of(call)
    weight = _output_first(call).flatten(1).abs().sum(1, dtype=torch.int64)
    bias = 0 if layer.bias is None else layer.bias.long().abs()
    if int((bias + 2 * HALF * weight).max()) > _INT32:
        return "its sums may exceed 32 bits"
    if len(volumes_of(call).phases) * _groups(call) > MOST_PROGRAMS:
        return "it has too many phases for one launch"
    return None


def volumes_of(call: Int8Call) -> Volumes:
    """The geometry of a call, led by dimensions of size 1."""
    settings, count, weight = call.settings, _dimensions(call), layer_of(call).weight

    def each(name: str, usual: int) -> list[int]:
        value = settings.get(name, usual)
        return [value] * count if isinstance(value, int) else [int(v) for v in value]

    own = zip(
        weight.shape[2:], each("stride", 1), each("padding", 0), each("dilation", 1), each("output_padding", 0),
        strict=True,
    )  # fmt: skip
    axes = [Axis()] * (DIMENSIONS - count) + [Axis(*sizes) for sizes in own]
    return Volumes((axes[0], axes[1], axes[2]), layer_of(call).axis == 1)


def _dimensions(call: Int8Call) -> int:
    return layer_of(call).weight.dim() - 2


def _groups(call: Int8Call) -> int:
    return int(call.settings.get("groups", 1))


def _output_first(call: Int8Call) -> Tensor:
    """The weight of five dimensions, ``[C_out, C_in / groups, kD, kH, kW]``; a transposed one has inputs first."""
    layer, groups = layer_of(call), _groups(call)
    weight = layer.weight
    if layer.axis == 1:
        grouped = weight.unflatten(0, (groups, -1)).transpose(1, 2)
        weight = grouped.flatten(0, 1)
    return _led_by_ones(weight, DIMENSIONS - _dimensions(call))


def _led_by_ones(x: Tensor, count: int) -> Tensor:
    """A tensor with more dimensions of size 1 in front of its spatial ones."""
    for _ in range(count):
        x = x.unsqueeze(2)
    return x


def _last(q: Tensor) -> Tensor:
    return q.contiguous(memory_format=torch.channels_last_3d)
