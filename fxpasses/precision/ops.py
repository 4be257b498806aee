"""The operators of LOWERED graphs: ``fxpasses::matmul_nbits`` and ``fxpasses::matmul_dynamic``.

``matmul_nbits`` follows onnxruntime's com.microsoft::MatMulNBits, byte for byte: weights ``[N, K]`` lie in blocks along
K, packed ``[N, blocks, block * bits / 8]`` uint8 (the earlier of two 4-bit values in the lower half), with zero point
``2 ** (bits - 1)`` and one float32 scale for each block: ``w = scale * (q - 2 ** (bits - 1))``.

``matmul_dynamic`` follows ONNX DynamicQuantizeLinear and MatMulInteger: the whole of ``x`` gets one uint8 scale from
its own range, widened to zero, and the products are summed in integers:

    scale = (max(x, 0) - min(x, 0)) / 255,   zero_point = saturate(round(-min(x, 0) / scale)),
    y = (sum over k of (q_x - zero_point) * q_w) * (scale * scale_w)

Importing this module registers them with ``torch.library``.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ..quantization.numbers.linear_mapping import levels_of
from .integer_products import integer_product

_LIBRARY = torch.library.Library("fxpasses", "FRAGMENT")
_LIBRARY.define("matmul_nbits(Tensor x, Tensor packed, Tensor scale, int k, int bits, int accuracy_level) -> Tensor")
_LIBRARY.define("matmul_dynamic(Tensor x, Tensor weight, Tensor weight_sums, Tensor scale) -> Tensor")

HIGHEST = 255
_MIDDLE = 128
"""Number subtracted from uint8 values to make them int8; the sums are corrected for it in integers."""


def unpacked(packed: Tensor, scale: Tensor, k: int, bits: int) -> Tensor:
    """Float32 weights ``[N, K]`` from packed integers ``[N, blocks, bytes]`` and scales ``[N, blocks]``."""
    if bits == 4:
        packed = torch.stack((packed & 15, packed >> 4), -1).flatten(2)
    elif bits == 2:
        packed = torch.stack([(packed >> shift) & 3 for shift in (0, 2, 4, 6)], -1).flatten(2)
    q = packed.to(torch.float32).sub_(2 ** (bits - 1))
    return q.mul_(scale.unsqueeze(2)).flatten(1)[:, :k]


def dynamic_qparams(x: Tensor) -> tuple[Tensor, Tensor]:
    """Scale (float32) and zero point (as float32) of the uint8 range that covers ``x`` and zero, as scalars.

    A tensor of zeros gets scale 1, as in onnxruntime.
    """
    low, high = torch.aminmax(x)
    low, high = low.clamp(max=0.0), high.clamp(min=0.0)
    scale = (high - low) / HIGHEST
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    return scale, torch.round(-low / scale).clamp_(0, HIGHEST)


def dynamic_integers(x: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
    """The integers of ``x`` for this scale and zero point, as float32."""
    return levels_of(x, scale, zero_point, 0, HIGHEST)


def _matmul_nbits(x: Tensor, packed: Tensor, scale: Tensor, k: int, bits: int, accuracy_level: int) -> Tensor:
    return F.linear(x, unpacked(packed, scale, k, bits))


def _matmul_dynamic(x: Tensor, weight: Tensor, weight_sums: Tensor, scale: Tensor) -> Tensor:
    x_scale, zero_point = dynamic_qparams(x)
    q = dynamic_integers(x.flatten(0, -2), x_scale, zero_point).sub_(_MIDDLE)
    sums = integer_product(q, weight)
    sums += (_MIDDLE - zero_point).to(torch.int32) * weight_sums
    return sums.to(torch.float32).mul_(x_scale * scale).reshape(*x.shape[:-1], weight.shape[1])


def _matmul_nbits_fake(x: Tensor, packed: Tensor, scale: Tensor, k: int, bits: int, accuracy_level: int) -> Tensor:
    return x.new_empty((*x.shape[:-1], packed.shape[0]))


def _matmul_dynamic_fake(x: Tensor, weight: Tensor, weight_sums: Tensor, scale: Tensor) -> Tensor:
    return x.new_empty((*x.shape[:-1], weight.shape[1]))


for _name, _kernel, _fake in (
    ("matmul_nbits", _matmul_nbits, _matmul_nbits_fake),
    ("matmul_dynamic", _matmul_dynamic, _matmul_dynamic_fake),
):
    _LIBRARY.impl(_name, _kernel, "CompositeExplicitAutograd")
    torch.library.register_fake(f"fxpasses::{_name}", _fake, lib=_LIBRARY)

matmul_nbits: Callable[..., Tensor] = torch.ops.fxpasses.matmul_nbits.default
"""Operator ``(x [..., K], packed, scale, K, bits, accuracy_level) -> [..., N]``; torch always computes in float32."""
matmul_dynamic: Callable[..., Tensor] = torch.ops.fxpasses.matmul_dynamic.default
"""Operator ``(x [..., K], weight int8 [K, N], its sums over K int32 [N], scale [N]) -> [..., N]``."""
