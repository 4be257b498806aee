"""LSTMs and GRUs of exported graphs become layers again."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from recurrent_nets import Sequences, sequences
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.capturing.recurrent_lifting import lift_recurrent


def layers(gm: fx.GraphModule) -> list[nn.Module]:
    return [gm.get_submodule(str(n.target)) for n in gm.graph.nodes if n.op == "call_module"]


@pytest.mark.parametrize(
    ("kind", "settings"),
    [(nn.LSTM, {"bidirectional": True, "num_layers": 2}), (nn.GRU, {"bias": False})],
)
def test_becomes_the_layer_it_was(kind: Any, settings: dict[str, Any]) -> None:
    net = Sequences(kind(6, 7, batch_first=True, **settings), state=True).eval()
    graph = fxpasses.capture(net, sequences(), method="export")
    found = layers(graph)[0]
    assert type(found) is kind
    assert str(found) == str(net.layer)
    ours, theirs = (m.weight_hh_l0.data_ptr() for m in (found, net.layer))  # type: ignore[operator]  # LSTMs
    assert ours == theirs
    with torch.no_grad():
        assert torch.equal(graph(sequences(4)), net(sequences(4)))


class Computed(nn.Module):
    """An LSTM whose recurrent weight is scaled by its input."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.LSTM(6, 7, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        weights: list[Tensor] = [p for _, p in self.layer.named_parameters()]
        weights[1] = weights[1] * x.mean()
        zeros = x.new_zeros(1, x.shape[0], 7)
        y: Tensor = torch.lstm(x, [zeros, zeros], weights, True, 1, 0.0, False, False, True)[0]
        return y


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("net", [Computed(), Sequences(nn.LSTM(6, 7, batch_first=True, proj_size=4))])
def test_stays_a_call(net: nn.Module) -> None:
    graph = fxpasses.capture(net.eval(), sequences(), method="export")
    before = str(graph.graph)
    lift_recurrent(graph)
    assert str(graph.graph) == before
    assert not any(isinstance(layer, nn.LSTM) for layer in layers(graph))
