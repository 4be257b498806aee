"""The noise a choice of divisors predicts, and the choice."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from fxpasses.quantization.channel_noise import (
    MARGIN,
    SMALLEST_DIVISOR,
    ChannelGroup,
    ChannelRanges,
    Reader,
    best_divisors,
    input_channels,
)

ONE = torch.tensor([1.0], dtype=torch.float64)


def ranges_of(x: Tensor) -> ChannelRanges:
    """Of ``[samples, channels]``."""
    x = x.double()
    return ChannelRanges(x.amin(0), x.amax(0), x.square().mean(0))


def group_of(x: Tensor, weight: Tensor, bound: float = torch.inf) -> ChannelGroup:
    """One tensor read by one linear layer ``[rows, channels]``."""
    channels = x.shape[1]
    group = ChannelGroup(
        labels=list(range(channels)),
        bound=torch.full((channels,), bound, dtype=torch.float64),
        fixed=torch.zeros(channels, dtype=torch.bool),
        name="made",
    )
    ranges, w = ranges_of(x), weight.double()
    group.tensors.append((torch.arange(channels), ranges))
    at = torch.arange(channels).expand(len(w), -1)
    group.readers.append(Reader(ONE, at, w.abs(), w.square(), ranges.energy[at], 1, 127))
    return group


def measured_noise(x: Tensor, weight: Tensor, d: Tensor) -> float:
    """Of real rounding: uint8 per tensor, int8 per row; relative to the output's power."""
    x, weight, d = x.double(), weight.double(), d.double()
    even, columns = x / d, weight * d
    low, high = min(0.0, float(even.min())), max(0.0, float(even.max()))
    step = (high - low) / 255
    rows = columns.abs().amax(1, keepdim=True) / 127
    found = (torch.round(even / step) * step) @ (torch.round(columns / rows) * rows).T
    expected = x @ weight.T
    return float((found - expected).square().sum() / expected.square().sum())


@pytest.mark.parametrize("seed", range(4))
def test_the_prediction_is_what_rounding_does(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(4000, 32, generator=generator) * torch.logspace(-1, 0, 32)
    weight = torch.randn(64, 32, generator=generator)
    for d in (torch.ones(32), torch.logspace(-1, 0, 32)):
        predicted = group_of(x, weight).noise(d.double())
        assert predicted == pytest.approx(measured_noise(x, weight, d), rel=0.25)


def test_the_best_divisors_are_better_than_none() -> None:
    x = torch.randn(4000, 32, generator=torch.Generator().manual_seed(0)) * torch.logspace(-2, 0, 32)
    weight = torch.randn(64, 32, generator=torch.Generator().manual_seed(1)) * torch.logspace(0.5, 0, 32)
    divisors = best_divisors(group_of(x, weight))
    assert measured_noise(x, weight, divisors) < measured_noise(x, weight, torch.ones(32)) / 2


def test_channels_below_a_clamp_stay_below_it() -> None:
    x = torch.rand(1000, 8, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.5, 1, 2, 3, 4, 5, 6.0, 6.0])
    x[0, 6:] = 6.0
    divisors = best_divisors(group_of(x, torch.ones(4, 8), bound=6.0))
    assert bool((divisors <= 1).all())
    assert bool((x.amax(0) / divisors <= 6.0 / MARGIN + 1e-6)[:5].all())
    assert torch.equal(divisors[6:], torch.ones(2, dtype=torch.float64))
    assert float(divisors[0]) < 0.5


def test_dead_channels_are_not_widened_without_end() -> None:
    x = torch.randn(100, 4) * torch.tensor([0.0, 1.0, 1.0, 1.0])
    assert float(best_divisors(group_of(x, torch.ones(4, 4))).min()) >= SMALLEST_DIVISOR


def test_fixed_channels_keep_their_scale() -> None:
    x = torch.randn(1000, 4) * torch.logspace(-2, 0, 4)
    group = replace(group_of(x, torch.randn(8, 4)), fixed=torch.tensor([True, False, False, True]))
    divisors = best_divisors(group)
    assert float(divisors[0]) == float(divisors[3]) == 1.0


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
