"""Each rule against its paper's definition, which is computed separately."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fxpasses.binary.rules import centred_and_clamped, hard_sigmoid, scaled_sign, stochastic_sign, ternary
from fxpasses.graph.binary_ops import sign_of

WEIGHTS = torch.randn(5, 3, 2, 2, generator=torch.Generator().manual_seed(1))


def test_the_sign_of_zero_is_plus_one() -> None:
    assert sign_of(torch.tensor([-2.0, -0.0, 0.0, 1e-30])).tolist() == [-1, 1, 1, 1]
    assert sign_of(WEIGHTS.double()).dtype is torch.float64


def test_hard_sigmoid() -> None:
    assert hard_sigmoid(torch.tensor([-2.0, -1, 0, 0.5, 3])).tolist() == [0, 0, 0.5, 0.75, 1]


def test_stochastic_signs_have_the_probability_of_the_hard_sigmoid() -> None:
    drawn = stochastic_sign(torch.full((100_000,), 0.5), torch.Generator().manual_seed(0))
    assert set(drawn.unique().tolist()) == {-1, 1}
    assert (drawn == 1).float().mean().item() == pytest.approx(0.75, abs=0.0055)  # four standard deviations
    assert bool((stochastic_sign(torch.full((100,), -1.0)) == -1).all())


def test_scaled_signs_are_the_nearest_binary_weights() -> None:
    scaled = scaled_sign(WEIGHTS)
    for row, found in zip(WEIGHTS, scaled, strict=True):
        assert torch.allclose(found, row.abs().mean() * sign_of(row))
        distance = (row - found).square().sum()
        assert all(distance <= (row - found * factor).square().sum() for factor in (0.99, 1.01))


def ternary_by_hand(row: Tensor) -> Tensor:
    threshold = 0.7 * row.abs().mean()
    kept = row.abs() > threshold
    return torch.where(kept, row[kept].abs().mean() * row.sign(), 0.0)


def test_ternary_weights() -> None:
    assert torch.allclose(ternary(WEIGHTS), torch.stack([ternary_by_hand(row) for row in WEIGHTS]))
    assert torch.allclose(ternary(WEIGHTS, by_filter=False), ternary_by_hand(WEIGHTS))
    assert ternary(torch.zeros(2, 3)).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_filters_are_centred_over_input_channels_and_clamped() -> None:
    found = centred_and_clamped(WEIGHTS * 2)
    assert float(found.abs().max()) == 1
    assert torch.allclose(centred_and_clamped(WEIGHTS * 0.1).mean(1), torch.zeros(5, 2, 2), atol=1e-7)
