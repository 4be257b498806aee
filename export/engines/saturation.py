"""Test whether torch's int8 kernels saturate on this machine, by running them.

CPU flags are not sufficient: oneDNN uses AVX-VNNI and fbgemm does not, environment variables select older instructions,
and an emulated CPU has the instructions that its emulator supports. A layer of weights 127 on inputs 255 shows it
within a millisecond.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from fxpasses.quantization.int8.int8_calls import FloatResult, Int8Call

from . import quint8

_CHANNELS = 16
_SCALE = 4096.0
"""Scale of the output: the exact sum of 16 products, 518160, is 126.5 steps, a saturated one half of that."""


def is_exact(engine: str, layer: Int8Call | FloatResult) -> bool:
    """Whether an engine is available and computes exact sums, as it does not saturate, or not with these weights."""
    return has_engine(engine) and (not saturates(engine) or layer.is_pair_safe)


def has_engine(engine: str) -> bool:
    """Whether this build of torch has an int8 engine; builds for ARM have no fbgemm."""
    return engine in torch.backends.quantized.supported_engines


@functools.cache
def saturates(engine: str) -> bool:
    """Whether an int8 engine of torch adds pairs of products in 16 bits on this machine, and so can saturate.

    Args:
        engine: ``"onednn"`` or ``"fbgemm"``; one that this build of torch does not have counts as saturating.
    """
    if not has_engine(engine):
        return True
    exact = 255 * 127 * _CHANNELS / _SCALE
    return any(float((found - exact).abs().max()) > 1.0 for found in (_convolved(engine), _multiplied(engine)))


def _convolved(engine: str) -> Tensor:
    """Result of a 1x1 convolution over a small image, in output steps."""
    weight = _weight(_CHANNELS, _CHANNELS, 1, 1)
    x = _bytes(1, _CHANNELS, 4, 4).contiguous(memory_format=torch.channels_last)
    with quint8.packing_for(engine):
        packed = torch.ops.quantized.conv2d_prepack(weight, None, [1, 1], [0, 0], [1, 1], 1)
    found: Tensor = torch.ops.quantized.conv2d(x, packed, _SCALE, 0)
    return found.int_repr().float()


def _multiplied(engine: str) -> Tensor:
    """Result of a linear layer, in output steps."""
    with quint8.packing_for(engine):
        packed = torch.ops.quantized.linear_prepack(_weight(_CHANNELS, _CHANNELS), None)
    found: Tensor = torch.ops.quantized.linear(_bytes(2, _CHANNELS), packed, _SCALE, 0)
    return found.int_repr().float()


def _weight(*shape: int) -> Tensor:
    with quint8.building():
        ones, zeros = torch.ones(shape[0], dtype=torch.float64), torch.zeros(shape[0], dtype=torch.int64)
        return torch._make_per_channel_quantized_tensor(torch.full(shape, 127, dtype=torch.int8), ones, zeros, 0)


def _bytes(*shape: int) -> Tensor:
    with quint8.building():
        return torch._make_per_tensor_quantized_tensor(torch.full(shape, 255, dtype=torch.uint8), 1.0, 0)
