"""Operations of one operator, by the challenge's rules for widths and sums."""

from __future__ import annotations

import pytest
import torch

from fxpasses.micronet.storage import Weight, weight_of
from fxpasses.micronet.work import Work, accumulator_bits, dot_products, pooled, product_bits

INTEGERS = torch.arange(-8, 8, dtype=torch.int8).repeat(6).reshape(6, 16)
SIGNS = torch.where(torch.arange(96) % 3 == 0, 1.0, -1.0).reshape(6, 16)


@pytest.mark.parametrize(
    ("weight_bits", "value_bits", "signs", "is_float", "expected"),
    [
        (3, 5, False, False, 5),
        (32, 8, False, True, 32),
        (1, 32, True, True, 1),
        (1, 8, True, False, 8),
        (1, 1, True, False, 1),
    ],
)
def test_a_multiply_is_as_wide_as_its_wider_input(
    weight_bits: int, value_bits: int, signs: bool, is_float: bool, expected: int
) -> None:
    assert product_bits(weight_bits, value_bits, signs=signs, is_float=is_float) == expected


def test_a_layer_on_integers() -> None:
    work = dot_products(weight_of(INTEGERS), 10, 8, is_float=False, bias=True)
    assert (work.multiplies, work.adds, work.multiply_bits, work.macs) == (960, 15 * 60 + 60, 8, 960)
    assert work.exact_bits == 4 + 8 + 5  # 17 summands
    assert work.add_ops("32") == work.adds and work.add_ops("16") * 2 == work.adds
    assert work.add_ops("exact") * 32 == work.adds * 17


def test_the_exact_accumulator_holds_the_largest_sum_and_none_narrower_does() -> None:
    weight = weight_of(INTEGERS)
    bits = accumulator_bits(weight, 8, 16, is_float=False)
    assert 16 * 8 * 255 < 2 ** (bits - 1) <= 2 * 16 * 8 * 256


def test_signs_of_floats_are_one_bit() -> None:
    floats = dot_products(weight_of(SIGNS), 1, 32, is_float=True, bias=False)
    assert floats.multiply_ops() * 32 == 96 and (floats.exact_bits, floats.operand_bits) == (32, 32)
    integers = dot_products(weight_of(SIGNS), 1, 8, is_float=False, bias=False)
    assert integers.multiply_ops() * 32 == 96 * 8 and integers.exact_bits == 8 + 4


def test_weights_that_a_mask_leaves_out_are_not_multiplied() -> None:
    value = torch.arange(1.0, 97.0).reshape(6, 16) * (torch.arange(96).reshape(6, 16) % 16 < 4)
    value[0] = 0
    work = dot_products(weight_of(value), 10, 32, is_float=True, bias=False)
    assert (work.multiplies, work.adds, work.macs) == (5 * 4 * 10, 5 * 3 * 10, 960)


def test_the_freebie_is_for_multiplies() -> None:
    work = Work(10, 32, 10)
    assert work.multiply_ops(freebie=True) == 5 and work.add_ops("32") == 10


def test_pools() -> None:
    assert pooled(3, 49, 32, average=True, is_float=True) == Work(3, 32, 3 * 48)
    assert pooled(3, 49, 8, average=True, is_float=False).exact_bits == 14
    assert pooled(3, 9, 8, average=False, is_float=False) == Work(24, 8, 0)


def test_weights_of_many_bits_sum_in_32() -> None:
    assert accumulator_bits(Weight((), SIGNS.bool(), 16), 16, 4, is_float=False) == 32
