"""The recurrent operators of LOWERED graphs: ``fxpasses::lstm_dynamic`` and ``fxpasses::gru_dynamic``.

Both multiply integers only, as :func:`fxpasses.precision.ops.matmul_dynamic` does: the inputs of all steps share one
uint8 scale, and the hidden states of all samples share one at every step. Gates are float.

``lstm_dynamic`` follows onnxruntime's com.microsoft::DynamicQuantizeLSTM, with its layout: weights ``[D, I, 4H]`` int8,
gates in the order input, output, forget, cell:

    a = x W + h R + b,   i, o, f = sigmoid(a_i, a_o, a_f),   c' = f c + i tanh(a_c),   h' = o tanh(c').

``gru_dynamic`` follows torch.nn.GRU (ONNX GRU with ``linear_before_reset=1``), one direction, weights ``[I, 3H]`` int8,
gates in the order reset, update, new:

    r, z = sigmoid(x W + b + h R + d),   n = tanh(x W_n + b_n + r (h R_n + d_n)),   h' = n + z (h - n).

D is 1, or 2; the second direction runs backwards in time. Registered with ``torch.library`` on import.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..quantization.numbers.qparams import as_float32
from .ops import HIGHEST, matmul_dynamic

MOST_EXACT = 2**24 // (255 * 127)
"""Largest number of products (uint8 minus zero point, times int8) whose sum is exact in float32 in any order: 518."""

_LIBRARY = torch.library.Library("fxpasses", "FRAGMENT")
_LIBRARY.define(
    "lstm_dynamic(Tensor x, Tensor? h, Tensor? c, Tensor weight, Tensor weight_scale, Tensor recurrent, "
    "Tensor recurrent_scale, Tensor? bias) -> (Tensor, Tensor, Tensor)"
)
_LIBRARY.define(
    "gru_dynamic(Tensor x, Tensor h, Tensor weight, Tensor weight_scale, Tensor weight_bias, Tensor recurrent, "
    "Tensor recurrent_scale, Tensor recurrent_bias, bool backwards) -> (Tensor, Tensor)"
)


def _product(x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    return matmul_dynamic(x, weight, weight.sum(0, dtype=torch.int32), scale)


def _state_product(weight: Tensor, scale: Tensor) -> Callable[[Tensor], Tensor]:
    """A fast product for the states ``[B, H]`` of many steps; for small layers calling torch takes most of the time.

    Up to ``MOST_EXACT`` hidden units the integers are summed as float32, which is exact, with half as many calls.
    """
    if len(weight) > MOST_EXACT:
        sums = weight.sum(0, dtype=torch.int32)
        return lambda h: matmul_dynamic(h, weight, sums, scale)
    integers = weight.to(torch.float32)

    def product(h: Tensor) -> Tensor:
        h_scale, zero_point = _qparams(h)
        if not math.isfinite(h_scale):
            return h @ integers
        q = torch.round(h / h_scale).clamp_(-zero_point, HIGHEST - zero_point)
        return (q @ integers).mul_(scale * h_scale)

    return product


def _qparams(x: Tensor) -> tuple[float, int]:
    """Compute :func:`fxpasses.precision.ops.dynamic_qparams` with Python numbers; the results are the same."""
    low, high = (end.item() for end in torch.aminmax(x))
    low, high = min(low, 0.0), max(high, 0.0)
    scale = as_float32(as_float32(high - low) / HIGHEST) or 1.0
    return (scale, min(max(round(as_float32(-low / scale)), 0), HIGHEST)) if math.isfinite(scale) else (scale, 0)


def _lstm_dynamic(
    x: Tensor,
    h: Tensor | None,
    c: Tensor | None,
    weight: Tensor,
    weight_scale: Tensor,
    recurrent: Tensor,
    recurrent_scale: Tensor,
    bias: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    directions, hidden = recurrent.shape[:2]
    zeros = x.new_zeros(directions, x.shape[1], hidden)
    found = []
    for d in range(directions):
        state = (zeros if h is None else h)[d], (zeros if c is None else c)[d]
        total = None if bias is None else bias[d].unflatten(0, (2, -1)).sum(0)
        gates = _product(x, weight[d], weight_scale[d])
        product = _state_product(recurrent[d], recurrent_scale[d])
        found.append(_lstm_steps(gates, state, product, total, backwards=d == 1))
    y, h_last, c_last = zip(*found, strict=True)
    return torch.cat(y, -1), torch.stack(h_last), torch.stack(c_last)


def _lstm_steps(
    gates: Tensor,
    state: tuple[Tensor, Tensor],
    product: Callable[[Tensor], Tensor],
    bias: Tensor | None,
    backwards: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    h, c = state
    steps, hidden = len(gates), h.shape[-1]
    y = gates.new_empty(steps, *h.shape)
    for t in reversed(range(steps)) if backwards else range(steps):
        a = gates[t] + product(h)
        a = a if bias is None else a.add_(bias)
        i, o, f = torch.sigmoid(a[:, : 3 * hidden]).chunk(3, -1)
        c = f * c + i * torch.tanh(a[:, 3 * hidden :])
        h = o * torch.tanh(c)
        y[t] = h
    return y, h, c


def _gru_dynamic(
    x: Tensor,
    h: Tensor,
    weight: Tensor,
    weight_scale: Tensor,
    weight_bias: Tensor,
    recurrent: Tensor,
    recurrent_scale: Tensor,
    recurrent_bias: Tensor,
    backwards: bool,
) -> tuple[Tensor, Tensor]:
    gates = _product(x, weight, weight_scale) + weight_bias
    product, steps, both = _state_product(recurrent, recurrent_scale), len(x), 2 * h.shape[-1]
    y = gates.new_empty(steps, *h.shape)
    for t in reversed(range(steps)) if backwards else range(steps):
        own, given = product(h).add_(recurrent_bias), gates[t]
        reset, update = torch.sigmoid(given[:, :both] + own[:, :both]).chunk(2, -1)
        n = torch.tanh(given[:, both:] + reset * own[:, both:])
        h = n + update * (h - n)
        y[t] = h
    return y, h.clone()


def _lstm_fake(
    x: Tensor,
    h: Tensor | None,
    c: Tensor | None,
    weight: Tensor,
    weight_scale: Tensor,
    recurrent: Tensor,
    recurrent_scale: Tensor,
    bias: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    directions, hidden = recurrent.shape[:2]
    steps, batch = x.shape[:2]
    state = x.new_empty(directions, batch, hidden)
    return x.new_empty(steps, batch, directions * hidden), state, torch.empty_like(state)


def _gru_fake(x: Tensor, h: Tensor, *weights: object) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape[0], *h.shape), torch.empty_like(h)


_LIBRARY.impl("lstm_dynamic", _lstm_dynamic, "CompositeExplicitAutograd")
_LIBRARY.impl("gru_dynamic", _gru_dynamic, "CompositeExplicitAutograd")
torch.library.register_fake("fxpasses::lstm_dynamic", _lstm_fake, lib=_LIBRARY)
torch.library.register_fake("fxpasses::gru_dynamic", _gru_fake, lib=_LIBRARY)

lstm_dynamic: Callable[..., tuple[Tensor, Tensor, Tensor]] = torch.ops.fxpasses.lstm_dynamic.default
"""Operator ``(x [T, B, I], h [D, B, H], c, W, its scales, R, its scales, biases) -> (y, h, c)``.

W is ``[D, I, 4H]`` with scales ``[D, 4H]``, R is ``[D, H, 4H]``, biases are ``[D, 8H]``; ``y [T, B, D * H]``, ``h`` and
``c [D, B, H]``. States and biases may be None, for zeros.
"""
gru_dynamic: Callable[..., tuple[Tensor, Tensor]] = torch.ops.fxpasses.gru_dynamic.default
"""Operator ``(x [T, B, I], h [B, H], W, its scales, its bias, R, its scales, its bias, backwards) -> (y, h)``.

W is ``[I, 3H]`` with scales and bias ``[3H]``, R is ``[H, 3H]``; ``y [T, B, H]``, ``h [B, H]``.
"""
