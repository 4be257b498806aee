"""Scales without ties, checked in exact fractions and by brute force."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fxpasses.quantization.numbers.qparams import as_float32
from fxpasses.quantization.numbers.tie_free import (
    LARGEST_Q,
    LARGEST_RESULT,
    MARGIN,
    SMALLEST_PROVABLE,
    distance_to_tie,
    lattice,
    simplest_fraction,
    smallest_margin,
    tie_free_multiplier,
    tie_free_multipliers,
    tie_free_table_scale,
)

FLOAT64_SLACK = 1e-12
"""Products of float64 numbers below 2**9 are off by at most 2**-44."""

ordinary = st.floats(1 / LARGEST_Q, 50.0)
tiny_ones = st.floats(1e-7, 1 / LARGEST_Q)
scales = st.floats(1e-6, 1e4).map(as_float32)


def _distance(value: Fraction) -> Fraction:
    """Distance of a fraction from the nearest k + 1/2, exactly."""
    return abs(value - math.floor(value) - Fraction(1, 2))


def _closest(multiplier: float) -> float:
    """Least distance from a tie of acc * multiplier, over every integer acc that does not saturate."""
    acc = torch.arange(0, math.floor(LARGEST_RESULT / multiplier) + 1, dtype=torch.float64)
    return float(distance_to_tie(acc * multiplier).min())


@given(st.one_of(ordinary, tiny_ones), st.integers(-(10**7), 10**7))
def test_no_integer_times_the_multiplier_is_near_a_tie(multiplier: float, acc: int) -> None:
    (value,), (q,) = tie_free_multipliers(torch.tensor([multiplier], dtype=torch.float64))
    odd = int(q)
    p = round(float(value) * odd)
    assert odd % 2 == 1 and p >= 1
    assert float(value) == p / odd
    assert _distance(Fraction(acc * p, odd)) >= Fraction(1, 2 * odd)


@given(ordinary)
def test_ordinary_multipliers_get_small_denominators(multiplier: float) -> None:
    (value,), (q,) = tie_free_multipliers(torch.tensor([multiplier], dtype=torch.float64))
    assert int(q) <= LARGEST_Q + 1
    assert abs(float(value) / multiplier - 1) <= 1 / (LARGEST_Q // 2)


@given(tiny_ones)
def test_tiny_multipliers_get_the_denominator_they_need(multiplier: float) -> None:
    (value,), (q,) = tie_free_multipliers(torch.tensor([multiplier], dtype=torch.float64))
    assert abs(float(value) / multiplier - 1) <= 1 / (LARGEST_Q // 2)
    assert int(q) <= 2 / multiplier + LARGEST_Q


def test_typical_multipliers_move_by_a_thousandth() -> None:
    wanted = torch.logspace(-2, 0.5, 4001, dtype=torch.float64)
    found, _ = tie_free_multipliers(wanted)
    moved = (found / wanted - 1).abs()
    assert float(moved.max()) < 2e-3 and float(moved.mean()) < 1e-4


def test_one_at_a_time_is_the_same() -> None:
    wanted = [0.0123, 0.5, 1.0, 3.7, 1e-5]
    together, _ = tie_free_multipliers(torch.tensor(wanted, dtype=torch.float64))
    assert [tie_free_multiplier(m) for m in wanted] == together.tolist()


def test_an_even_denominator_is_what_ties_come_from() -> None:
    """A counterexample: with m = 1/2 every odd accumulator is a tie."""
    assert _distance(Fraction(3, 2)) == 0
    assert smallest_margin(torch.tensor([0.5], dtype=torch.float64)) == 0.0
    assert tie_free_multiplier(0.5) != 0.5


@given(scales, scales, st.floats(1e-3, 3.0))
def test_the_margin_is_sound(x: float, y: float, wanted: float) -> None:
    """No result is nearer to a tie than the margin, also if scales are rounded to float32."""
    multiplier, _ = tie_free_multipliers(torch.tensor([wanted], dtype=torch.float64))
    weight_scale = (multiplier * y / x).to(torch.float32).double()
    really = x * weight_scale / y
    assert _closest(float(really)) + FLOAT64_SLACK >= smallest_margin(really)


@given(st.floats(1e-4, 4.0))
def test_the_margin_of_any_multiplier_is_sound(multiplier: float) -> None:
    """The margin also holds for multipliers that are not tie-free."""
    assert _closest(multiplier) + FLOAT64_SLACK >= smallest_margin(torch.tensor([multiplier], dtype=torch.float64))


@given(st.integers(1, 40), st.integers(257, 8191).map(lambda n: 2 * n + 1), st.floats(-1, 1))
def test_the_margin_of_a_fraction_that_was_rounded_is_sound(p: int, q: int, off: float) -> None:
    """A float32 rounding moves large results by up to 256 * 2**-24 steps, which is the margin left for a large q."""
    multiplier = torch.tensor([p / q * (1 + off * 2.0**-23)], dtype=torch.float64)
    assert _closest(float(multiplier)) + FLOAT64_SLACK >= smallest_margin(multiplier)


@pytest.mark.parametrize("wanted", [0.01, 0.003, 0.7, SMALLEST_PROVABLE])
def test_provable_multipliers_have_a_proof(wanted: float) -> None:
    found, _ = tie_free_multipliers(torch.tensor([wanted], dtype=torch.float64))
    for off in (0.0, 2.0**-24, -(2.0**-24)):
        assert smallest_margin(found * (1 + off)) >= MARGIN


def test_the_worst_channel_counts() -> None:
    margins = [smallest_margin(torch.tensor([m], dtype=torch.float64)) for m in (1 / 3, 1 / 1001)]
    assert smallest_margin(torch.tensor([1 / 3, 1 / 1001], dtype=torch.float64)) == min(margins) == margins[1]


@given(st.fractions(Fraction(1, 2000), 20, max_denominator=2000), st.integers(8, 24))
def test_the_simplest_fraction_has_the_smallest_denominator(value: Fraction, bits: int) -> None:
    relative = 2.0**-bits
    found = simplest_fraction(float(value), relative)
    assert abs(found / Fraction(float(value)) - 1) <= relative
    low, high = Fraction(float(value)) * Fraction(1 - relative), Fraction(float(value)) * Fraction(1 + relative)
    smaller = next(d for d in range(1, 2001) if math.floor(high * d) >= math.ceil(low * d))
    assert found.denominator == smaller


GROUPS = st.lists(st.floats(0.01, 1.0), min_size=2, max_size=6)


@given(GROUPS, st.floats(1e-4, 100))
def test_a_lattice_has_odd_ratios_near_what_was_wanted(shape: list[float], size: float) -> None:
    wanted = [as_float32(s * size) for s in shape]
    moved = lattice(wanted, [math.inf] * len(wanted), [False] * len(wanted))
    assert moved is not None
    for scale, found in zip(wanted, moved, strict=True):
        assert abs(found / scale - 1) <= 1 / 33 + 2.0**-11
        assert found == as_float32(found)
    for a in moved:
        for b in moved:
            ratio = Fraction(a) / Fraction(b)
            assert ratio.numerator % 2 == 1 and ratio.denominator % 2 == 1


@given(GROUPS, st.integers(0, 5))
def test_a_lattice_stays_under_its_caps(shape: list[float], which: int) -> None:
    wanted = [as_float32(s) for s in shape]
    caps = [s if i == which % len(wanted) else math.inf for i, s in enumerate(wanted)]
    moved = lattice(wanted, caps, [False] * len(wanted))
    assert moved is not None and all(found <= cap for found, cap in zip(moved, caps, strict=True))


@given(GROUPS)
def test_a_lattice_hangs_on_what_is_fixed(shape: list[float]) -> None:
    wanted = [1 / 256, *(as_float32(s) for s in shape)]
    moved = lattice(wanted, [math.inf] * len(wanted), [True] + [False] * len(shape))
    assert moved is not None and moved[0] == 1 / 256
    for found in moved:
        ratio = simplest_fraction(found * 256, 2.0**-22)
        assert ratio.numerator % 2 == 1 and ratio.denominator % 2 == 1


def test_two_that_are_fixed_have_no_lattice() -> None:
    assert lattice([1 / 256, 1 / 100, 0.1], [math.inf] * 3, [True, True, False]) is None
    assert lattice([1 / 256, 1 / 256, 0.1], [math.inf] * 3, [True, True, False]) is not None


@given(st.integers(0, 2**16), st.floats(0.001, 10))
def test_a_table_scale_keeps_every_value_from_a_tie(seed: int, scale: float) -> None:
    values = torch.randn(256, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 50 * scale
    found = tie_free_table_scale(values, scale)
    assert found is not None and abs(found / scale - 1) < 0.005
    assert float(distance_to_tie(values / found).min()) > 2 * MARGIN


def test_a_table_that_cannot_be_kept_from_ties() -> None:
    """The table has so many values that one of them is always near a tie."""
    values = torch.arange(100_000, dtype=torch.float64) * 0.00173
    assert tie_free_table_scale(values, 0.5) is None


@pytest.mark.parametrize(
    ("values", "distances"), [([0.5, 1.5, -0.5], [0.0, 0.0, 0.0]), ([0.0, 1.0, 0.25, -3.75], [0.5, 0.5, 0.25, 0.25])]
)
def test_distance_to_tie(values: list[float], distances: list[float]) -> None:
    found: Tensor = distance_to_tie(torch.tensor(values, dtype=torch.float64))
    assert found.tolist() == distances
