"""Moments of a layer's inputs: they can be added, and give the error of an output."""

from __future__ import annotations

import torch
from torch import Tensor

from fxpasses.quantization.rounding.input_moments import Moments


def inputs(seed: int, samples: int = 400) -> tuple[Tensor, Tensor]:
    """Inputs in float and in integers: ``[2, 6, samples]``."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(2, 6, 3, generator=generator)
    exact = mix @ torch.randn(2, 3, samples, generator=generator) + 20
    return exact, exact + 0.3 * exact.roll(1, 1) + 0.1 * torch.randn(2, 6, samples, generator=generator)


def test_they_add_up() -> None:
    exact, integer = inputs(13)
    whole, parts = Moments.of(exact, integer), Moments.of(exact[:, :, :150], integer[:, :, :150])
    parts.take_in(exact[:, :, 150:], integer[:, :, 150:])
    assert torch.allclose(whole.means()[0], parts.means()[0]) and torch.allclose(
        whole.means()[1], integer.double().mean(2)
    )
    for a, b in zip(whole.centred(), parts.centred(), strict=True):
        assert torch.allclose(a, b, atol=1e-3)


def test_the_sum_of_two() -> None:
    exact, integer = inputs(5)
    shift = integer.mean(2, keepdim=True)
    one, other, both = (Moments.around(shift) for _ in range(3))
    one.take_in(exact[:, :, :99], integer[:, :, :99])
    other.take_in(exact[:, :, 99:], integer[:, :, 99:])
    both.take_in(exact, integer)
    total = one + other
    assert total.count == both.count == 400 and one.count == 99
    for a, b in zip(total.centred(), both.centred(), strict=True):
        assert torch.allclose(a, b, atol=1e-3)
