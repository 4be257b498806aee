"""Small nets of recurrent layers, for tests."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

import fxpasses

WIDTH, STEPS = 6, 5


class Sequences(nn.Module):
    """A recurrent layer and a linear one: all steps, and the last states, are read."""

    def __init__(self, layer: nn.Module, state: bool = False) -> None:
        super().__init__()
        assert isinstance(layer, nn.LSTM | nn.GRU | nn.RNN)
        self.layer, self.state = layer, state
        directions = 2 if layer.bidirectional else 1
        self.states, self.directions = layer.num_layers * directions, directions
        self.last = nn.Linear(layer.proj_size or layer.hidden_size, 3)

    def forward(self, x: Tensor) -> Tensor:
        if self.state:
            first = x.new_zeros(self.states, x.size(0), self.layer.hidden_size) + 0.25
            y, states = self.layer(x, (first, first * 2) if isinstance(self.layer, nn.LSTM) else first)
        else:
            y, states = self.layer(x)
        total = states[0] + states[1].sum() if isinstance(self.layer, nn.LSTM) else states
        steps: Tensor = self.last(total[-1]) + y.mean(1).sum(-1, keepdim=True)
        return steps


def sequences(batch: int = 3) -> Tensor:
    return torch.randn(batch, STEPS, WIDTH, generator=torch.Generator().manual_seed(batch))


def recurrent_graph(
    kind: type[nn.LSTM | nn.GRU | nn.RNN], hidden: int, state: bool = False, **settings: Any
) -> fx.GraphModule:
    """The fused FLOAT graph of one layer, batch first."""
    torch.manual_seed(5)
    net = Sequences(kind(WIDTH, hidden, batch_first=True, **settings), state)
    return fxpasses.fuse(fxpasses.capture(net.eval(), sequences()))
