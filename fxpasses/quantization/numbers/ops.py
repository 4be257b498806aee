"""The operators of a QUANTIZED graph: ``fxpasses::quantize``, ``fxpasses::dequantize`` and ``fxpasses::pixels``.

They compute the linear mapping of :mod:`fxpasses.quantization.numbers.linear_mapping`, which is the one of ONNX.
Importing this module registers them with ``torch.library``, so ``torch.export`` keeps them and a saved ``.pt2`` names
them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .linear_mapping import levels_of, values_of

_LIBRARY = torch.library.Library("fxpasses", "DEF")
_LIBRARY.define("quantize(Tensor x, float scale, int zero_point, ScalarType dtype) -> Tensor")
_LIBRARY.define("dequantize(Tensor q, float scale, int zero_point) -> Tensor")
_LIBRARY.define("dequantize_per_channel(Tensor q, Tensor scale, int axis) -> Tensor")
_LIBRARY.define(
    "pixels(Tensor x, float[] factor, float[] offset, float rest, int channels, bool spread=False) -> Tensor"
)


def _quantize(x: Tensor, scale: float, zero_point: int, dtype: torch.dtype) -> Tensor:
    limits = torch.iinfo(dtype)
    return levels_of(x, scale, zero_point, limits.min, limits.max).to(dtype)


def _dequantize(q: Tensor, scale: float, zero_point: int) -> Tensor:
    return values_of(q, scale, zero_point)


def _dequantize_per_channel(q: Tensor, scale: Tensor, axis: int) -> Tensor:
    shape = [1] * q.dim()
    shape[axis] = -1
    return values_of(q, scale.reshape(shape), 0)


def _pixels(
    x: Tensor, factor: Sequence[float], offset: Sequence[float], rest: float, channels: int, spread: bool = False
) -> Tensor:
    made = x.mul(_by_channel(factor, x)).add_(_by_channel(offset, x))
    if spread:
        missing = channels // 2 - x.shape[1]
        return F.pad(made.unsqueeze(2), (0, 0, 0, 0, 0, 1, 0, missing), value=rest).flatten(1, 2)
    return F.pad(made, (0, 0, 0, 0, 0, channels - x.shape[1]), value=rest)


def _by_channel(values: Sequence[float], x: Tensor) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=x.device).reshape(1, -1, 1, 1)


def _pixels_fake(
    x: Tensor, factor: Sequence[float], offset: Sequence[float], rest: float, channels: int, spread: bool = False
) -> Tensor:
    return x.new_empty((x.shape[0], channels, *x.shape[2:]))


def _quantize_fake(x: Tensor, scale: float, zero_point: int, dtype: torch.dtype) -> Tensor:
    return torch.empty_like(x, dtype=dtype)


def _dequantize_fake(q: Tensor, scale: float, zero_point: int) -> Tensor:
    return torch.empty_like(q, dtype=torch.float32)


def _dequantize_per_channel_fake(q: Tensor, scale: Tensor, axis: int) -> Tensor:
    return torch.empty_like(q, dtype=torch.float32)


for _name, _kernel, _fake in (
    ("quantize", _quantize, _quantize_fake),
    ("dequantize", _dequantize, _dequantize_fake),
    ("dequantize_per_channel", _dequantize_per_channel, _dequantize_per_channel_fake),
    ("pixels", _pixels, _pixels_fake),
):
    _LIBRARY.impl(_name, _kernel, "CompositeExplicitAutograd")
    torch.library.register_fake(f"fxpasses::{_name}", _fake, lib=_LIBRARY)

quantize: Callable[..., Tensor] = torch.ops.fxpasses.quantize.default
"""Operator ``(x float32, scale, zero_point, dtype) -> q``, same shape."""
dequantize: Callable[..., Tensor] = torch.ops.fxpasses.dequantize.default
"""Operator ``(q, scale, zero_point) -> float32``, same shape."""
dequantize_per_channel: Callable[..., Tensor] = torch.ops.fxpasses.dequantize_per_channel.default
"""Operator ``(q, scale [C], axis) -> float32``, zero_point 0, one scale for each index of ``axis``."""
QUANTIZING = (quantize, dequantize, dequantize_per_channel)
"""The operators between float32 and integers."""
pixels: Callable[..., Tensor] = torch.ops.fxpasses.pixels.default
"""Operator ``(x [N, C, H, W], factor, offset, rest, channels) -> x * factor + offset [N, channels, H, W]``.

Each of the C channels has one factor and one offset, applied one after the other in float32; the channels from C on are
filled with ``rest``.
"""
