"""LSTM and GRU layers with stored int8 weights that compute in float: a quarter of the size, the speed of float.

``w = s * q``, symmetric, one scale for each row of each gate. The product is part of the file: torch computes the float
weights at every call, onnxruntime once, when it loads the file. Both then compute the same floats. Lossy.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..quantization.numbers.linear_mapping import quantize_linear
from ..quantization.numbers.qparams import INT8_SYMMETRIC
from ..quantization.ranges.range_search import weight_scales
from .recurrent_layers import LSTM_ORDER, RecurrentLayer
from .stored_ops import gru_stored, lstm_stored

FOUR_BITS = "a recurrent layer: its weights are kept in 8 bits, not in 4"
_GRU_ORDER = (1, 0, 2)
"""Order of ONNX's gates (update, reset, new) as indices of torch's (reset, update, new)."""


class WeightOnlyRecurrent(RecurrentLayer):
    """``nn.LSTM`` or ``nn.GRU`` with int8 weights, with the same arguments.

    Buffers, for each layer k, in the layout of :mod:`fxpasses.precision.stored_ops`: ``weight_k`` and ``recurrent_k``
    int8, their scales, and ``bias_k`` float32 where there is one.

    Raises:
        InputError: a weight is not finite.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__(layer)
        assert isinstance(layer, nn.LSTM | nn.GRU), type(layer)
        self.is_lstm = isinstance(layer, nn.LSTM)
        for k in range(self.num_layers):
            for name, kind in (("weight", "ih"), ("recurrent", "hh")):
                float_weight = self._stacked(layer, [f"weight_{kind}_l{k}"])
                scale = torch.stack([weight_scales(weight, 0, INT8_SYMMETRIC) for weight in float_weight])
                rows = quantize_linear(float_weight.flatten(0, 1), scale.flatten(), dtype=INT8_SYMMETRIC, axis=0)
                self.register_buffer(f"{name}_{k}", rows.reshape(float_weight.shape))
                self.register_buffer(f"{name}_{k}_scale", scale.unsqueeze(2))
            bias = self._stacked(layer, [f"bias_ih_l{k}", f"bias_hh_l{k}"]) if layer.bias else None
            self.register_buffer(f"bias_{k}", bias)

    def _stacked(self, layer: nn.Module, names: list[str]) -> Tensor:
        """Parameters of all directions with gates in ONNX's order: ``[D, gates * H, ...]``."""
        order = LSTM_ORDER if self.is_lstm else _GRU_ORDER
        found = []
        for suffix in self.suffixes:
            gates = [getattr(layer, f"{name}{suffix}").detach().float().chunk(len(order)) for name in names]
            found.append(torch.cat([parts[gate] for parts in gates for gate in order]))
        return torch.stack(found)

    def forward(self, input: Tensor, hx: Any = None) -> tuple[Tensor, Any]:  # the names are those of nn.LSTM
        x, last = self._steps_first(input), []
        for k in range(self.num_layers):
            held = [getattr(self, f"{n}_{k}{s}") for n in ("weight", "recurrent") for s in ("", "_scale")]
            states = self._states(hx, k)
            x, *found = (lstm_stored if self.is_lstm else gru_stored)(x, *states, *held, getattr(self, f"bias_{k}"))
            last.append(found)
        merged = tuple(torch.cat(states) for states in zip(*last, strict=True))
        return self._steps_first(x), merged if self.is_lstm else merged[0]

    def _states(self, hx: Any, layer: int) -> list[Tensor | None]:
        if hx is None:
            return [None, None] if self.is_lstm else [None]
        return [self._of_layer(state, layer) for state in (hx if self.is_lstm else (hx,))]
