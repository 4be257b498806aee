"""The noise predicted for some divisors is that of real rounding."""

from __future__ import annotations

import pytest
import torch
from channel_groups import group_of, measured_noise
from torch import nn

from fxpasses.quantization.repairs.channel_noise import input_channels


@pytest.mark.parametrize("seed", range(4))
def test_the_prediction_is_what_rounding_does(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(4000, 32, generator=generator) * torch.logspace(-1, 0, 32)
    weight = torch.randn(64, 32, generator=generator)
    for d in (torch.ones(32), torch.logspace(-1, 0, 32)):
        predicted = float(group_of(x, weight).noise(d.double()))
        assert predicted == pytest.approx(measured_noise(x, weight, d), rel=0.25)


@pytest.mark.parametrize(
    ("layer", "channels", "expected"),
    [
        (nn.Linear(3, 2), 3, [[0, 1, 2]]),
        (nn.Conv2d(4, 4, 1, groups=2), 4, [[0, 1], [0, 1], [2, 3], [2, 3]]),
        (nn.Conv2d(3, 3, 3, groups=3), 3, [[0], [1], [2]]),
    ],
)
def test_input_channels(layer: nn.Module, channels: int, expected: list[list[int]]) -> None:
    assert input_channels(layer, channels).tolist() == expected
