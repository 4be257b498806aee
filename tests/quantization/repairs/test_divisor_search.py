"""Divisors with the least predicted noise, within the limits of clamps and fixed channels."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from channel_groups import group_of, measured_noise
from torch import Tensor

from fxpasses.quantization.repairs.channel_noise import ChannelGroup
from fxpasses.quantization.repairs.divisor_search import (
    ALPHAS,
    MARGIN,
    SMALLEST_DIVISOR,
    balanced_divisors,
    best_divisors,
)


def divisors_of(group: ChannelGroup) -> Tensor:
    (found,) = best_divisors([group])
    return found


def uneven(seed: int) -> tuple[Tensor, Tensor]:
    """Channels whose ranges and weights are independent of each other."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(4000, 32, generator=generator) * torch.rand(32, generator=generator).mul(4).exp()
    return x, torch.randn(64, 32, generator=generator) * torch.rand(32, generator=generator).mul(4).exp()


@pytest.mark.parametrize("seed", range(4))
def test_downhill_is_below_every_exponent(seed: int) -> None:
    x, weight = uneven(seed)
    group = group_of(x, weight)
    found = divisors_of(group)
    least = min(float(group.noise(balanced_divisors(group, a))) for a in ALPHAS)
    assert float(group.noise(found)) < 0.97 * least
    of_exponents = min(measured_noise(x, weight, balanced_divisors(group, a)) for a in ALPHAS)
    assert measured_noise(x, weight, found) < of_exponents


def test_without_descent_it_is_an_exponent() -> None:
    group = group_of(*uneven(0))
    (found,) = best_divisors([group], descend=False)
    assert any(torch.equal(found, balanced_divisors(group, a)) for a in ALPHAS)


def test_a_group_of_little_noise_stays_at_its_exponent() -> None:
    noisy, quiet = group_of(*uneven(0)), group_of(*uneven(1))
    quiet.readers = [replace(r, weight_steps=10**6, shares=r.shares * 1e-8) for r in quiet.readers]
    _, found = best_divisors([noisy, quiet])
    assert any(torch.equal(found, balanced_divisors(quiet, a)) for a in ALPHAS)


def test_the_best_divisors_are_better_than_none() -> None:
    x = torch.randn(4000, 32, generator=torch.Generator().manual_seed(0)) * torch.logspace(-2, 0, 32)
    weight = torch.randn(64, 32, generator=torch.Generator().manual_seed(1)) * torch.logspace(0.5, 0, 32)
    divisors = divisors_of(group_of(x, weight))
    assert measured_noise(x, weight, divisors) < measured_noise(x, weight, torch.ones(32)) / 2


def test_channels_below_a_clamp_stay_below_it() -> None:
    x = torch.rand(1000, 8, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.5, 1, 2, 3, 4, 5, 6.0, 6.0])
    x[0, 6:] = 6.0
    divisors = divisors_of(group_of(x, torch.ones(4, 8), bound=6.0))
    assert bool((divisors <= 1).all())
    assert bool((x.amax(0) / divisors <= 6.0 / MARGIN + 1e-6)[:5].all())
    assert torch.equal(divisors[6:], torch.ones(2, dtype=torch.float64))
    assert float(divisors[0]) < 0.5


def test_dead_channels_are_not_widened_without_end() -> None:
    x = torch.randn(100, 4) * torch.tensor([0.0, 1.0, 1.0, 1.0])
    assert float(divisors_of(group_of(x, torch.ones(4, 4))).min()) >= SMALLEST_DIVISOR


def test_fixed_channels_keep_their_scale() -> None:
    x = torch.randn(1000, 4) * torch.logspace(-2, 0, 4)
    group = replace(group_of(x, torch.randn(8, 4)), fixed=torch.tensor([True, False, False, True]))
    divisors = divisors_of(group)
    assert float(divisors[0]) == float(divisors[3]) == 1.0
