"""Values that are not finite are found, ranges first."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from training_nets import prepared

import fxpasses
from fxpasses.training import Broken, find_broken


def test_a_sound_graph() -> None:
    assert find_broken(prepared()) == []


def test_ranges_come_first() -> None:
    graph = prepared()
    with torch.no_grad():
        graph.get_parameter("first.weight")[0, 0, 0, 0] = float("inf")
        graph.get_parameter("wide.step")[1] = float("nan")
    assert find_broken(graph) == [
        Broken("wide", "its range broke: the step is NaN"),
        Broken("first", "its weight holds infinity"),
    ]


class Masked(nn.Module):
    mask: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(4))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = (self.layer(x) + self.mask).softmax(-1)
        return found


def test_a_mask_is_a_constant_and_may_hold_infinity() -> None:
    batches = [torch.randn(2, 4, 4) for _ in range(2)]
    graph = fxpasses.prepare_training(fxpasses.capture(Masked().eval(), batches[0]), batches)
    assert find_broken(graph) == []
    with torch.no_grad():
        graph.get_parameter("layer.weight")[0, 0] = float("nan")
    assert [broken.why for broken in find_broken(graph)] == ["its weight holds NaN"]
