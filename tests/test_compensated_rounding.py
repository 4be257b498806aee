"""Rounding that mends what it did: never worse than it must be, exact where there is nothing to mend."""

from __future__ import annotations

import itertools

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fxpasses.quantization.compensated_rounding import Moments, compensated_rounding
from fxpasses.quantization.qparams import IntType

NIBBLE = IntType(torch.int8, -8, 7)


def moments_of(exact: Tensor, integer: Tensor | None = None) -> Moments:
    return Moments.of(exact, exact if integer is None else integer)


def error(rows: Tensor, rounded: Tensor, exact: Tensor, integer: Tensor | None = None) -> float:
    """What is left without the mean, which the bias takes."""
    off = rows.double() @ exact.double() - rounded @ (exact if integer is None else integer).double()
    return float((off - off.mean(2, keepdim=True)).square().sum())


def correlated(seed: int, groups: int = 1, width: int = 12, samples: int = 800) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(groups, width, 4, generator=generator)
    return mix @ torch.randn(groups, 4, samples, generator=generator) + 0.2 * torch.randn(
        groups, width, samples, generator=generator
    )


def test_uncorrelated_inputs_are_rounded_to_nearest() -> None:
    rows = torch.tensor([[[0.2, 3.4, -7.7, 1.1, -0.6, 9.9]]])
    squares = torch.diag_embed(torch.ones(1, 6, dtype=torch.float64)) * 64
    zeros = torch.zeros(1, 6).double()
    moments = Moments(zeros.unsqueeze(2), 64, zeros, zeros, squares, torch.zeros_like(squares))
    assert compensated_rounding(rows, moments, NIBBLE).tolist() == [[[0, 3, -8, 1, -1, 7]]]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
def test_it_beats_nearest_on_correlated_inputs(seed: int) -> None:
    x = correlated(seed, groups=2)
    rows = 3 * torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(seed + 1))
    rounded = compensated_rounding(rows, moments_of(x), NIBBLE)
    assert torch.equal(rounded, rounded.round().clamp(NIBBLE.low, NIBBLE.high))
    nearest = rows.round().clamp(NIBBLE.low, NIBBLE.high).double()
    assert error(rows, rounded, x) < 0.5 * error(rows, nearest, x)


def test_it_is_near_the_best_of_all_choices() -> None:
    x = correlated(3, width=6)
    rows = torch.randn(1, 1, 6, generator=torch.Generator().manual_seed(5)) * 2
    choices = itertools.product((-1.0, 0.0, 1.0, 2.0), repeat=6)
    best = min(error(rows, rows.floor().double() + torch.tensor(c).double(), x) for c in choices)
    found = error(rows, compensated_rounding(rows, moments_of(x), NIBBLE), x)
    nearest = error(rows, rows.round().double(), x)
    assert best <= found * (1 + 1e-9) and found < best + 0.3 * (nearest - best)


def test_it_mends_what_layers_before_did_to_the_inputs() -> None:
    x = correlated(7)
    read = x + 0.3 * x[:, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0]]
    rows = 3 * torch.randn(1, 5, 12, generator=torch.Generator().manual_seed(8))
    blind = compensated_rounding(rows, moments_of(read), NIBBLE)
    seeing = compensated_rounding(rows, moments_of(x, read), NIBBLE)
    assert error(rows, seeing, x, read) < 0.5 * error(rows, blind, x, read)


def test_means_do_not_matter() -> None:
    x = correlated(9)
    rows = 3 * torch.randn(1, 5, 12, generator=torch.Generator().manual_seed(10))
    far = x + 500 * torch.arange(12).reshape(1, -1, 1)
    near, moved = (compensated_rounding(rows, moments_of(data), NIBBLE) for data in (x, far))
    assert (near != moved).float().mean() < 0.05


def test_inputs_that_never_move_are_rounded_to_nearest() -> None:
    x = torch.full((1, 12, 400), 1000.0)
    rows = 3 * torch.randn(1, 5, 12, generator=torch.Generator().manual_seed(10))
    assert torch.equal(compensated_rounding(rows, moments_of(x), NIBBLE), rows.double().round().clamp(-8, 7))


def test_few_samples_are_hardly_believed() -> None:
    x = correlated(14, width=40, samples=4)
    rows = 3 * torch.randn(1, 5, 40, generator=torch.Generator().manual_seed(10))
    seen, new = moments_of(x), correlated(14, width=40, samples=4000)
    nearest = rows.round().clamp(-8, 7).double()
    assert error(rows, compensated_rounding(rows, seen, NIBBLE), new) < 1.2 * error(rows, nearest, new)


def test_moments_add_up() -> None:
    x = correlated(13) + 20
    whole, parts = moments_of(x), moments_of(x[:, :, :150])
    parts.take_in(x[:, :, 150:], x[:, :, 150:])
    assert torch.allclose(whole.means()[0], parts.means()[0]) and torch.allclose(whole.means()[1], x.double().mean(2))
    for a, b in zip(whole.centred(), parts.centred(), strict=True):
        assert torch.allclose(a, b, atol=1e-4)


def test_inputs_never_seen_are_rounded_to_nearest() -> None:
    x = correlated(11)
    x[:, 3] = 0
    rows = 3 * torch.randn(1, 5, 12, generator=torch.Generator().manual_seed(12))
    rounded = compensated_rounding(rows, moments_of(x), NIBBLE)
    assert torch.equal(rounded[:, :, 3], rows[:, :, 3].round().clamp(NIBBLE.low, NIBBLE.high).double())
