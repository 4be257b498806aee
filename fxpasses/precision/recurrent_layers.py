"""LSTM and GRU layers with int8 weights; their inputs and hidden states are quantized to uint8 at run time.

onnxruntime has one kernel for this, DynamicQuantizeLSTM; a GRU becomes a Scan whose steps multiply integers. An
LSTM is faster in int8 than in onnxruntime's float kernels, a GRU only with many hidden units (docs/lab_notes.md). So a
GRU below 320 hidden units stays float.

With several threads onnxruntime splits the batch of an LSTM, and the hidden states of each part get their own scale:
its integers equal those of torch only with one thread, or a batch of one.

Weights are symmetric with one scale for each row of each gate. Lossy.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, fx, nn

from ..graph.edit import why_not_plain
from ..graph.shapes import shape_of
from ..quantization.numbers.linear_mapping import quantize_linear
from ..quantization.numbers.qparams import IntType
from ..quantization.ranges.range_search import weight_scales
from .recurrent_ops import gru_dynamic, lstm_dynamic

SMALLEST_GRU = 320
"""Smallest number of hidden units with which a GRU is not slower in int8."""

LSTM_ORDER = (0, 3, 1, 2)
"""Order of ONNX's gates (input, output, forget, cell) as indices of torch's (input, forget, cell, output)."""


def why_float(gm: fx.GraphModule, node: fx.Node) -> str | None:
    """Reason for a recurrent layer not to compute on integers, or None."""
    layer = gm.get_submodule(str(node.target))
    if isinstance(layer, nn.GRU) and layer.hidden_size < SMALLEST_GRU:
        return (
            f"onnxruntime has no integer GRU: step by step, int8 was slower than its float GRU below {SMALLEST_GRU} "
            f"hidden units, and this one has {layer.hidden_size}; weight-only quantization makes it small"
        )
    return why_not_rebuilt(gm, node)


def why_not_rebuilt(gm: fx.GraphModule, node: fx.Node) -> str | None:
    """Reason for a recurrent layer not to get integer weights, or None."""
    layer = gm.get_submodule(str(node.target))
    if not isinstance(layer, nn.LSTM | nn.GRU):
        return "a plain RNN, for which there is no form with integers"
    if layer.proj_size:
        return f"its hidden state is projected (proj_size={layer.proj_size}), which no ONNX operator does"
    if layer.training and layer.dropout:
        return "it drops values between its layers: it is in training mode"
    source = node.args[0] if node.args else node.kwargs.get("input")
    shape = shape_of(source) if isinstance(source, fx.Node) else None
    if shape is None or len(shape) != 3:
        return "its input is no batch of sequences of equal length, [B, T, I] or [T, B, I]"
    return why_not_plain(layer)


def dynamic_recurrent(layer: nn.Module, grid: IntType) -> nn.Module:
    """The int8 layer of an LSTM or a GRU.

    Raises:
        InputError: a weight is not finite.
    """
    if isinstance(layer, nn.LSTM):
        return DynamicLSTM(layer, grid)
    assert isinstance(layer, nn.GRU), type(layer)
    return DynamicGRU(layer, grid)


class RecurrentLayer(nn.Module):
    """Base of recurrent layers with integer weights: settings, and the layout of inputs and layers of ``nn.LSTM``."""

    operator = "recurrent"

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        assert isinstance(layer, nn.LSTM | nn.GRU)
        self.num_layers, self.hidden_size, self.batch_first = layer.num_layers, layer.hidden_size, layer.batch_first
        self.suffixes = ("", "_reverse") if layer.bidirectional else ("",)
        self.weights = sum(p.numel() for n, p in layer.named_parameters() if n.startswith("weight"))

    def _steps_first(self, x: Tensor) -> Tensor:
        return x.transpose(0, 1) if self.batch_first else x

    def _of_layer(self, state: Tensor, layer: int) -> Tensor:
        """States ``[D, B, H]`` of one layer, from ``[layers * D, B, H]``."""
        directions = len(self.suffixes)
        return state[layer * directions : (layer + 1) * directions]


class DynamicLSTM(RecurrentLayer):
    """``nn.LSTM`` on integers, with the same arguments.

    Buffers, for each layer k: ``weight_k`` int8 ``[D, I, 4H]``, ``recurrent_k`` int8 ``[D, H, 4H]``, their scales
    ``[D, 4H]``, and ``bias_k`` float32 ``[D, 8H]`` (of the input, then of the state) where there is one.
    """

    def __init__(self, layer: nn.LSTM, grid: IntType) -> None:
        super().__init__(layer)
        for k in range(self.num_layers):
            for name, source in (("weight", "weight_ih"), ("recurrent", "weight_hh")):
                found = [_integers(_onnx_gates(getattr(layer, f"{source}_l{k}{s}")), grid) for s in self.suffixes]
                integers, scales = zip(*found, strict=True)
                self.register_buffer(f"{name}_{k}", torch.stack(integers))
                self.register_buffer(f"{name}_{k}_scale", torch.stack(scales))
            self.register_buffer(f"bias_{k}", self._bias(layer, k) if layer.bias else None)

    def _bias(self, layer: nn.LSTM, k: int) -> Tensor:
        both = [[f"bias_ih_l{k}{s}", f"bias_hh_l{k}{s}"] for s in self.suffixes]
        return torch.stack([torch.cat([_onnx_gates(getattr(layer, name)) for name in names]) for names in both])

    def forward(
        self, input: Tensor, hx: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:  # the names are those of nn.LSTM
        x, h_last, c_last = self._steps_first(input), [], []
        for k in range(self.num_layers):
            h, c = (None, None) if hx is None else (self._of_layer(state, k) for state in hx)
            weight, weight_scale = self.get_buffer(f"weight_{k}"), self.get_buffer(f"weight_{k}_scale")
            recurrent, recurrent_scale = self.get_buffer(f"recurrent_{k}"), self.get_buffer(f"recurrent_{k}_scale")
            bias = getattr(self, f"bias_{k}")
            x, h, c = lstm_dynamic(x, h, c, weight, weight_scale, recurrent, recurrent_scale, bias)
            h_last.append(h)
            c_last.append(c)
        return self._steps_first(x), (torch.cat(h_last), torch.cat(c_last))


class DynamicGRU(RecurrentLayer):
    """``nn.GRU`` on integers, with the same arguments.

    Buffers, for each layer and direction (``0``, ``0_reverse``): ``weight_0`` int8 ``[I, 3H]``, ``recurrent_0`` int8
    ``[H, 3H]``, for each its scales ``[3H]`` and bias ``[3H]``.
    """

    def __init__(self, layer: nn.GRU, grid: IntType) -> None:
        super().__init__(layer)
        for k in range(self.num_layers):
            for suffix in self.suffixes:
                for name, kind in (("weight", "ih"), ("recurrent", "hh")):
                    integers, scale = _integers(getattr(layer, f"weight_{kind}_l{k}{suffix}"), grid)
                    bias = getattr(layer, f"bias_{kind}_l{k}{suffix}") if layer.bias else torch.zeros(len(scale))
                    self.register_buffer(f"{name}_{k}{suffix}", integers)
                    self.register_buffer(f"{name}_{k}{suffix}_scale", scale)
                    self.register_buffer(f"{name}_{k}{suffix}_bias", bias.detach().float().clone())

    def forward(
        self, input: Tensor, hx: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:  # the names are those of nn.GRU
        x = self._steps_first(input)
        zeros, last = x.new_zeros(len(self.suffixes), x.shape[1], self.hidden_size), []
        for k in range(self.num_layers):
            h = zeros if hx is None else self._of_layer(hx, k)
            found = [self._direction(x, h[d], f"{k}{suffix}") for d, suffix in enumerate(self.suffixes)]
            x = torch.cat([y for y, _ in found], -1)
            last += [state for _, state in found]
        return self._steps_first(x), torch.stack(last)

    def _direction(self, x: Tensor, h: Tensor, which: str) -> tuple[Tensor, Tensor]:
        held = [self.get_buffer(f"{n}_{which}{s}") for n in ("weight", "recurrent") for s in ("", "_scale", "_bias")]
        return gru_dynamic(x, h, *held, which.endswith("_reverse"))


def _onnx_gates(value: Tensor) -> Tensor:
    """Rows ``[4H, ...]`` of an LSTM's weight or bias in ONNX's order of gates."""
    gates = value.detach().float().chunk(4)
    return torch.cat([gates[gate] for gate in LSTM_ORDER])


def _integers(weight: Tensor, grid: IntType) -> tuple[Tensor, Tensor]:
    """Int8 ``[K, N]`` and scales ``[N]`` of a weight ``[N, K]``."""
    weight = weight.detach().float()
    scale = weight_scales(weight, 0, grid)
    return quantize_linear(weight, scale, dtype=grid, axis=0).t().contiguous(), scale
