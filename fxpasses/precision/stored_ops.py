"""The operators of recurrent layers whose weights are stored in int8 and multiplied as float.

``fxpasses::lstm_stored`` and ``fxpasses::gru_stored`` follow ONNX LSTM, and ONNX GRU with ``linear_before_reset=1``,
with their layout: weights ``[D, gates * H, I]`` with gates in the order input, output, forget, cell, or update,
reset, new; ``w = scale * q``, scales ``[D, gates * H, 1]``; biases ``[D, 2 * gates * H]`` of the input, then of the
state. D is 1, or 2; the second direction runs backwards in time. Registered with ``torch.library`` on import.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

_LIBRARY = torch.library.Library("fxpasses", "FRAGMENT")
_HELD = "Tensor weight, Tensor weight_scale, Tensor recurrent, Tensor recurrent_scale, Tensor? bias"
_LIBRARY.define(f"lstm_stored(Tensor x, Tensor? h, Tensor? c, {_HELD}) -> (Tensor, Tensor, Tensor)")
_LIBRARY.define(f"gru_stored(Tensor x, Tensor? h, {_HELD}) -> (Tensor, Tensor)")

_LSTM_GATES, _GRU_GATES = (0, 2, 3, 1), (1, 0, 2)
"""Order of torch's gates (input, forget, cell, output; reset, update, new) as indices of ONNX's."""


def _parameters(gates: Sequence[int], held: Sequence[Tensor], bias: Tensor | None) -> list[Tensor]:
    """The float parameters in the form that torch.lstm and torch.gru take."""
    weight, weight_scale, recurrent, recurrent_scale = held
    found = []
    for d in range(len(weight)):
        given = [weight[d].float() * weight_scale[d], recurrent[d].float() * recurrent_scale[d]]
        given += [] if bias is None else list(bias[d].chunk(2))
        for value in given:
            parts = value.chunk(len(gates))
            found.append(torch.cat([parts[gate] for gate in gates]))
    return found


def _lstm_stored(x: Tensor, h: Tensor | None, c: Tensor | None, *held: Any) -> tuple[Tensor, Tensor, Tensor]:
    *weights, bias = held
    zeros = x.new_zeros(len(weights[0]), x.shape[1], weights[2].shape[-1])
    states = [zeros if h is None else h, zeros if c is None else c]
    parameters = _parameters(_LSTM_GATES, weights, bias)
    y, h_last, c_last = torch.lstm(x, states, parameters, bias is not None, 1, 0.0, False, len(weights[0]) == 2, False)
    return y, h_last, c_last


def _gru_stored(x: Tensor, h: Tensor | None, *held: Any) -> tuple[Tensor, Tensor]:
    *weights, bias = held
    state = x.new_zeros(len(weights[0]), x.shape[1], weights[2].shape[-1]) if h is None else h
    parameters = _parameters(_GRU_GATES, weights, bias)
    y, last = torch.gru(x, state, parameters, bias is not None, 1, 0.0, False, len(weights[0]) == 2, False)
    return y, last


def _fake(x: Tensor, recurrent: Tensor) -> tuple[Tensor, Tensor]:
    directions, hidden = recurrent.shape[0], recurrent.shape[2]
    y = x.new_empty(x.shape[0], x.shape[1], directions * hidden)
    return y, x.new_empty(directions, x.shape[1], hidden)


def _lstm_fake(x: Tensor, h: Tensor | None, c: Tensor | None, *held: Any) -> tuple[Tensor, Tensor, Tensor]:
    y, state = _fake(x, held[2])
    return y, state, torch.empty_like(state)


def _gru_fake(x: Tensor, h: Tensor | None, *held: Any) -> tuple[Tensor, Tensor]:
    return _fake(x, held[2])


_LIBRARY.impl("lstm_stored", _lstm_stored, "CompositeExplicitAutograd")
_LIBRARY.impl("gru_stored", _gru_stored, "CompositeExplicitAutograd")
torch.library.register_fake("fxpasses::lstm_stored", _lstm_fake, lib=_LIBRARY)
torch.library.register_fake("fxpasses::gru_stored", _gru_fake, lib=_LIBRARY)

lstm_stored: Callable[..., tuple[Tensor, Tensor, Tensor]] = torch.ops.fxpasses.lstm_stored.default
"""Operator ``(x, h, c, weights, scales, recurrent weights, scales, biases) -> (y, h, c)``.

``x [T, B, I]``, ``y [T, B, D * H]``, ``h`` and ``c [D, B, H]``. States and biases may be None.
"""
gru_stored: Callable[..., tuple[Tensor, Tensor]] = torch.ops.fxpasses.gru_stored.default
"""Operator ``(x, h, weights, scales, recurrent weights, scales, biases) -> (y, h)``.

``x [T, B, I]``, ``y [T, B, D * H]``, ``h [D, B, H]``. The state and biases may be None.
"""
