"""Groups of weights: the space that their multiples save, and that the integers determine them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fxpasses.quantization.numbers.qparams import IntType
from fxpasses.quantization.numbers.targets import find_target
from fxpasses.quantization.numbers.weight_groups import (
    LARGEST_MULTIPLE,
    common_multiples,
    group_length,
    group_multiples,
    grouped_scales,
    largest_multiple,
)
from fxpasses.quantization.ranges.range_search import weight_scales

FOUR = IntType(torch.int8, -8, 7)


@pytest.mark.parametrize(
    ("row", "wanted", "length"), [(64, 16, 16), (144, 32, 24), (24, 16, 12), (37, 16, 37), (27, 32, 27), (6, 16, 6)]
)
def test_group_length(row: int, wanted: int, length: int) -> None:
    assert group_length(row, wanted) == length and row % length == 0


@pytest.mark.parametrize("target", ["x86", "x86-avx2", "arm"])
def test_the_largest_multiple_keeps_weights_in_their_type(target: str) -> None:
    full = find_target(target).weights
    largest = largest_multiple(full, FOUR)
    assert full.low <= FOUR.low * largest and FOUR.high * largest <= full.high and largest >= 7
    assert FOUR.low * (largest + 1) < full.low or largest == LARGEST_MULTIPLE


def nearest(rows: Tensor, scale: Tensor, length: int) -> Tensor:
    steps = rows / scale.unsqueeze(1)
    multiples = group_multiples(steps, FOUR, length, LARGEST_MULTIPLE)
    return (steps / multiples).round().clamp(FOUR.low, FOUR.high) * multiples


def test_groups_of_other_sizes_come_nearer_than_one_scale() -> None:
    torch.manual_seed(0)
    rows = torch.randn(6, 64) * torch.tensor([1.0, 0.1, 0.5, 0.03]).repeat_interleave(16)
    scale = grouped_scales(rows, FOUR, 16, LARGEST_MULTIPLE)
    found = nearest(rows, scale, 16) * scale.unsqueeze(1)
    per_channel = weight_scales(rows, 0, FOUR, search="mse").unsqueeze(1)
    flat = (rows / per_channel).round().clamp(FOUR.low, FOUR.high) * per_channel
    off, flat_off = ((x - rows).square().sum(1) for x in (found, flat))
    assert bool((off < flat_off / 2).all())


def test_each_multiple_is_the_best_of_all() -> None:
    torch.manual_seed(1)
    steps = torch.randn(5, 32) * 40
    chosen = group_multiples(steps, FOUR, 8, LARGEST_MULTIPLE)[:, ::8]
    tried = torch.stack([(steps / m).round().clamp(-8, 7) * m for m in range(1, LARGEST_MULTIPLE + 1)])
    errors = (tried - steps).square().unflatten(2, (4, 8)).sum(3)
    assert torch.equal(chosen, errors.argmin(0) + 1.0)


def test_what_does_not_matter_may_be_far_off() -> None:
    steps = torch.tensor([[40.3, 1.2, 2.4, 0.6, -1.7, 3.1, -2.2, 0.9]])
    importance = torch.ones(1, 8)
    importance[0, 0] = 0
    flat, weighted = (group_multiples(steps, FOUR, 8, LARGEST_MULTIPLE, i) for i in (None, importance))
    assert int(flat[0, 0]) > int(weighted[0, 0]) == 1


@given(st.data())
def test_integers_tell_their_multiples(data: st.DataObject) -> None:
    q = torch.tensor(data.draw(st.lists(st.integers(-8, 7), min_size=32, max_size=32)), dtype=torch.int8).reshape(2, 16)
    multiples = torch.tensor(data.draw(st.lists(st.integers(1, 15), min_size=4, max_size=4)), dtype=torch.int8)
    integers = q * multiples.reshape(2, 2).repeat_interleave(8, 1)
    found = common_multiples(integers, FOUR, 8)
    assert found is not None
    assert torch.equal(found[0] * found[1].repeat_interleave(8, 1), integers)
    assert int(found[0].min()) >= -8 and int(found[0].max()) <= 7 and int(found[1].min()) >= 1


def test_integers_without_common_multiples() -> None:
    integers = torch.tensor([[64, 63, 0, 0, 0, 0, 0, 1]], dtype=torch.int8)
    assert common_multiples(integers, FOUR, 8) is None


def test_rows_of_zeros_have_a_scale() -> None:
    assert bool((grouped_scales(torch.zeros(2, 16), FOUR, 8, 15) > 0).all())
