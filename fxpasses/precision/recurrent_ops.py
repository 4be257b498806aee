"""The recurrent operators of LOWERED graphs: ``fxpasses::lstm_dynamic`` and ``fxpasses::gru_dynamic``.

Both multiply integers only, as :func:`fxpasses.precision.ops.matmul_dynamic` does: the inputs of all steps get one
uint8 grid, and the hidden states of all items one at every step. Gates are float.

``lstm_dynamic`` follows onnxruntime's com.microsoft::DynamicQuantizeLSTM, with its layout: weights ``[D, I, 4H]`` int8,
gates in the order input, output, forget, cell:

    a = x W + h R + b,   i, o, f = sigmoid(a_i, a_o, a_f),   c' = f c + i tanh(a_c),   h' = o tanh(c').

``gru_dynamic`` follows torch.nn.GRU (ONNX GRU with ``linear_before_reset=1``), one direction, weights ``[I, 3H]`` int8,
gates in the order reset, update, new:

    r, z = sigmoid(x W + b + h R + d),   n = tanh(x W_n + b_n + r (h R_n + d_n)),   h' = n + z (h - n).

D is 1, or 2 with the direction backwards in time second. Registered with ``torch.library`` on import.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .ops import matmul_dynamic

_LIBRARY = torch.library.Library("fxpasses", "FRAGMENT")
_LIBRARY.define(
    "lstm_dynamic(Tensor x, Tensor? h, Tensor? c, Tensor weight, Tensor weight_scale, Tensor recurrent, "
    "Tensor recurrent_scale, Tensor? bias) -> (Tensor, Tensor, Tensor)"
)
_LIBRARY.define(
    "gru_dynamic(Tensor x, Tensor h, Tensor weight, Tensor weight_scale, Tensor weight_bias, Tensor recurrent, "
    "Tensor recurrent_scale, Tensor recurrent_bias, bool backwards) -> (Tensor, Tensor)"
)


def _product(weight: Tensor, scale: Tensor) -> Callable[[Tensor], Tensor]:
    """``x [..., K] -> x @ weight [..., N]`` on integers; the column sums are taken once."""
    sums = weight.sum(0, dtype=torch.int32)
    return lambda x: matmul_dynamic(x, weight, sums, scale)


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
        gates = _product(weight[d], weight_scale[d])(x)
        found.append(_lstm_steps(gates, state, _product(recurrent[d], recurrent_scale[d]), total, backwards=d == 1))
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
    steps = len(gates)
    y = gates.new_empty(steps, *h.shape)
    for t in reversed(range(steps)) if backwards else range(steps):
        a = gates[t] + product(h)
        i, o, f, new = (a if bias is None else a + bias).chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(new)
        h = torch.sigmoid(o) * torch.tanh(c)
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
    gates = _product(weight, weight_scale)(x) + weight_bias
    product, steps = _product(recurrent, recurrent_scale), len(x)
    y = gates.new_empty(steps, *h.shape)
    for t in reversed(range(steps)) if backwards else range(steps):
        own_reset, own_update, own_new = (product(h) + recurrent_bias).chunk(3, -1)
        reset, update, new = gates[t].chunk(3, -1)
        n = torch.tanh(new + torch.sigmoid(reset + own_reset) * own_new)
        h = n + torch.sigmoid(update + own_update) * (h - n)
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
"""``(x [T, B, I], h [D, B, H], c, W [D, I, 4H], its scales [D, 4H], R [D, H, 4H], its scales, biases [D, 8H])`` ->
``(y [T, B, D * H], h [D, B, H], c [D, B, H])``; states and biases may be None, for zeros."""
gru_dynamic: Callable[..., tuple[Tensor, Tensor]] = torch.ops.fxpasses.gru_dynamic.default
"""``(x [T, B, I], h [B, H], W [I, 3H], its scales [3H], bias [3H], R [H, 3H], its scales, its bias, backwards)`` ->
``(y [T, B, H], h [B, H])``."""
