"""Rounding that compensates for its errors: never worse than a bound, and exact if there is no error."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fxpasses.quantization.numbers.qparams import IntType
from fxpasses.quantization.rounding import compensated_rounding as compensated_rounding_module
from fxpasses.quantization.rounding.compensated_rounding import (
    NO_TRUST,
    TRUSTS,
    ErrorsOf,
    Trust,
    compensated_rounding,
    rounded_with,
)
from fxpasses.quantization.rounding.input_moments import Moments

NIBBLE = IntType(torch.int8, -8, 7)


def folds(exact: Tensor, integer: Tensor | None = None) -> tuple[Moments, Moments]:
    """Moments of two thirds of the samples, and of all."""
    integer = exact if integer is None else integer
    learned, rest = (Moments.around(integer.mean(2, keepdim=True)) for _ in range(2))
    cut = exact.shape[2] * 2 // 3
    learned.take_in(exact[:, :, :cut], integer[:, :, :cut])
    rest.take_in(exact[:, :, cut:], integer[:, :, cut:])
    return learned, learned + rest


def last_third(rows: Tensor, exact: Tensor, integer: Tensor | None = None) -> ErrorsOf:
    """Function that returns the error of sums, without their means, on the samples not learned from."""
    cut = exact.shape[2] * 2 // 3
    held_out, read = exact[:, :, cut:], (exact if integer is None else integer)[:, :, cut:]

    def off(rounded: Tensor) -> Tensor:
        found = rows.double() @ held_out.double() - rounded @ read.double()
        return found.var(2)

    return off


def compensated(rows: Tensor, exact: Tensor, integer: Tensor | None = None, multiples: Tensor | None = None) -> Tensor:
    multiples = torch.ones_like(rows) if multiples is None else multiples
    errors_of = last_third(rows, exact, integer)
    return compensated_rounding(rows, *folds(exact, integer), NIBBLE, multiples, errors_of)[0]


def error(rows: Tensor, rounded: Tensor, exact: Tensor, integer: Tensor | None = None) -> float:
    """Error of sums without their mean, which the bias corrects."""
    off = rows.double() @ exact.double() - rounded @ (exact if integer is None else integer).double()
    return float((off - off.mean(2, keepdim=True)).square().sum())


def correlated(seed: int, groups: int = 1, width: int = 12, samples: int = 800) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(groups, width, 4, generator=generator)
    return mix @ torch.randn(groups, 4, samples, generator=generator) + 0.2 * torch.randn(
        groups, width, samples, generator=generator
    )


def test_uncorrelated_inputs_are_rounded_to_nearest() -> None:
    rows = torch.tensor([[[0.2, 3.4, -7.7, 1.1, -0.6, 9.9]]]).double()
    squares = torch.diag_embed(torch.ones(1, 6, dtype=torch.float64)) * 64
    zeros = torch.zeros(1, 6).double()
    moments = Moments(zeros.unsqueeze(2), 64, zeros, zeros, squares, torch.zeros_like(squares))
    found = rounded_with(rows, moments, NIBBLE, torch.ones_like(rows), Trust(1.0, 1.0))
    assert found.tolist() == [[[0, 3, -8, 1, -1, 7]]]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
def test_it_beats_nearest_on_correlated_inputs(seed: int) -> None:
    x = correlated(seed, groups=2)
    rows = 3 * torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(seed + 1))
    rounded = compensated(rows, x)
    assert torch.equal(rounded, rounded.round().clamp(NIBBLE.low, NIBBLE.high))
    nearest = rows.round().clamp(NIBBLE.low, NIBBLE.high).double()
    assert error(rows, rounded, x) < 0.5 * error(rows, nearest, x)


def test_it_is_near_the_best_of_all_choices() -> None:
    x = correlated(3, width=6)
    rows = torch.randn(1, 1, 6, generator=torch.Generator().manual_seed(5)) * 2
    choices = itertools.product((-1.0, 0.0, 1.0, 2.0), repeat=6)
    best = min(error(rows, rows.floor().double() + torch.tensor(c).double(), x) for c in choices)
    found = error(rows, compensated(rows, x), x)
    nearest = error(rows, rows.round().double(), x)
    assert best <= found * (1 + 1e-9) and found < best + 0.3 * (nearest - best)


def test_it_mends_what_layers_before_did_to_the_inputs() -> None:
    x = correlated(7)
    read = x + 0.3 * x[:, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0]]
    rows = 3 * torch.randn(1, 5, 12, generator=torch.Generator().manual_seed(8))
    without_inputs = compensated(rows, read)
    seeing = compensated(rows, x, read)
    assert error(rows, seeing, x, read) < 0.5 * error(rows, without_inputs, x, read)


def test_means_do_not_matter() -> None:
    x = correlated(9)
    rows = 3 * torch.randn(1, 5, 12, generator=torch.Generator().manual_seed(10))
    far = x + 500 * torch.arange(12).reshape(1, -1, 1)
    near, moved = (compensated(rows, data) for data in (x, far))
    assert (near != moved).float().mean() < 0.05


def test_inputs_that_never_move_are_rounded_to_nearest() -> None:
    x = torch.full((1, 12, 400), 1000.0)
    rows = 3 * torch.randn(1, 5, 12, generator=torch.Generator().manual_seed(10))
    assert torch.equal(compensated(rows, x), rows.double().round().clamp(-8, 7))


def test_few_samples_are_hardly_trusted() -> None:
    generator = torch.Generator().manual_seed(14)
    x, new = torch.randn(1, 40, 24, generator=generator), torch.randn(1, 40, 4000, generator=generator)
    rows = 3 * torch.randn(1, 5, 40, generator=torch.Generator().manual_seed(10))
    nearest = rows.round().clamp(-8, 7).double()
    errors_of, ones = last_third(rows, x), torch.ones_like(rows)

    def together(rounded: Tensor) -> Tensor:  # 8 samples do not tell outputs apart
        return errors_of(rounded).mean().expand(1, 5)

    found, _ = compensated_rounding(rows, *folds(x), NIBBLE, ones, together)
    assert error(rows, found, new) < 1.2 * error(rows, nearest, new)
    trusting = rounded_with(rows.double(), folds(x)[0], NIBBLE, torch.ones_like(rows).double(), Trust(1.0, 1.0))
    assert error(rows, trusting, new) > 1.5 * error(rows, nearest, new), "there was something to be misled by"


def test_trust_is_what_new_samples_say_of_each_output() -> None:
    rows = 3 * torch.randn(1, 5, 12, generator=torch.Generator().manual_seed(10))
    x, other = correlated(14), torch.randn(1, 12, 400, generator=torch.Generator().manual_seed(2))
    like, unlike = last_third(rows, x), last_third(rows, other)

    def chosen(errors_of: ErrorsOf) -> list[Trust]:
        found = compensated_rounding(rows, *folds(x), NIBBLE, torch.ones_like(rows), errors_of)[1]
        return [TRUSTS[k] for k in found.flatten().tolist()]

    def first_two_alike(rounded: Tensor) -> Tensor:
        return torch.cat([like(rounded)[:, :2], unlike(rounded)[:, 2:]], 1)

    assert all(trust.together >= 0.5 for trust in chosen(like))
    assert chosen(unlike) == [NO_TRUST] * 5
    assert chosen(first_two_alike) == [*chosen(like)[:2], *[NO_TRUST] * 3]


def test_blocks_of_columns_change_nothing() -> None:
    x = correlated(4, width=150, samples=4000)
    rows = 3 * torch.randn(1, 7, 150, generator=torch.Generator().manual_seed(10)).double()
    learned, trust, ones = folds(x)[0], Trust(0.9, 1.0), torch.ones_like(rows)
    whole = pytest.MonkeyPatch()
    blocked = rounded_with(rows, learned, NIBBLE, ones, trust)
    with whole.context() as patch:
        patch.setattr(compensated_rounding_module, "BLOCK", 1000)
        assert (rounded_with(rows, learned, NIBBLE, ones, trust) != blocked).double().mean() < 0.01


def test_multiples_are_the_steps() -> None:
    x = correlated(3)
    rows = 30 * torch.randn(1, 5, 12, generator=torch.Generator().manual_seed(10))
    multiples = torch.tensor([1.0, 5.0, 9.0, 15.0]).repeat(3).expand(1, 5, 12)
    found = compensated(rows, x, multiples=multiples)
    q = found / multiples
    assert torch.equal(q, q.round().clamp(NIBBLE.low, NIBBLE.high))
    nearest = (rows / multiples).round().clamp(NIBBLE.low, NIBBLE.high) * multiples
    assert error(rows, found, x) < error(rows, nearest.double(), x)


def test_inputs_never_seen_are_rounded_to_nearest() -> None:
    x = correlated(11)
    x[:, 3] = 0
    rows = 3 * torch.randn(1, 5, 12, generator=torch.Generator().manual_seed(12))
    rounded = compensated(rows, x)
    assert torch.equal(rounded[:, :, 3], rows[:, :, 3].round().clamp(NIBBLE.low, NIBBLE.high).double())
