"""Layers are settled in order, with the inputs that the settled layers before them give."""

from __future__ import annotations

import torch
from tiny_graphs import outputs_of
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.graph.pass_runner import copy_graph
from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.int8.observe import without_observers
from fxpasses.quantization.rounding.compensated_layers import round_layers
from fxpasses.quantization.rounding.learned_integers import LearnedWeight, trainable_twin

NIBBLES = QuantConfig(observer="minmax", weight_bits=4, bias_correction=False, equalization=False)


class Net(nn.Module):
    """A convolution, a depthwise one and a linear layer, with correlated inputs."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.mix, self.wide = nn.Conv2d(3, 12, 1), nn.Conv2d(12, 16, 3, padding=1)
        self.deep, self.last = nn.Conv2d(16, 16, 3, groups=16), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.deep(torch.relu(self.wide(self.mix(x)))))
        found: Tensor = self.last(x.mean((2, 3)))
        return found


def data(seed: int = 1) -> Tensor:
    return torch.randn(32, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def settled() -> tuple[fx.GraphModule, fx.GraphModule, fx.GraphModule]:
    """The float graph, the twin rounded to nearest, and the twin settled."""
    observed = fxpasses.observe(fxpasses.fuse(fxpasses.capture(Net().eval(), data())), NIBBLES)
    fxpasses.calibrate(observed, [data()])
    int8, exact = fxpasses.convert(observed), without_observers(observed)
    nearest, _ = trainable_twin(int8, exact, NIBBLES)
    twin, _ = trainable_twin(int8, exact, NIBBLES)
    round_layers(exact, twin, [data()], [data()], torch.Generator().manual_seed(0))
    return exact, nearest, twin


def test_outputs_come_nearer_also_on_other_data() -> None:
    exact, nearest, twin = settled()
    for seed in (1, 2):
        wanted = outputs_of(exact, (data(seed),))[0]
        before, after = (float((outputs_of(g, (data(seed),))[0] - wanted).square().sum()) for g in (nearest, twin))
        assert after < 0.5 * before


def test_biases_take_the_mean() -> None:
    exact, nearest, twin = settled()
    wanted = outputs_of(exact, (data(),))[0]
    off, left = ((outputs_of(g, (data(),))[0] - wanted).mean(0).abs().mean() for g in (nearest, twin))
    assert left < 0.3 * off


def test_all_integers_stay_on_their_grids() -> None:
    _, _, twin = settled()
    learned = copy_graph(twin)
    for module in learned.modules():
        if isinstance(module, LearnedWeight):
            assert module.grid.low <= int(module.integers().min()) <= int(module.integers().max()) <= module.grid.high
