"""Bits of tensors: masks, blocks, signs, integers, and tensors that are stored whole."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fxpasses.errors import InputError
from fxpasses.micronet.storage import check_block, kept_weights, plain, weight_of, width_of

SOME = torch.arange(1.0, 513.0).reshape(8, 64)


def sparse(share: float) -> Tensor:
    return SOME * (torch.arange(512).reshape(8, 64) >= share * 512)


def test_a_mask_costs_one_bit_for_each_element() -> None:
    (stored,) = weight_of(sparse(0.5)).stored
    assert (stored.elements, stored.kept, stored.bits, stored.mask_bits) == (512, 256, 32, 512)
    assert stored.total_bits == 256 * 32 + 512


def test_with_the_freebie_values_halve_and_masks_do_not() -> None:
    (stored,) = weight_of(sparse(0.5)).stored
    assert stored.params(freebie=True) * 32 == 256 * 16 + 512


def test_a_mask_that_does_not_pay_is_not_stored_and_skips_nothing() -> None:
    weight = weight_of(sparse(2 / 512))
    assert weight.stored[0].mask_bits == 0 and bool(weight.kept.all())


def test_biases_have_no_mask() -> None:
    (stored,) = weight_of(torch.zeros(512)).stored
    assert (stored.kept, stored.mask_bits) == (512, 0)


def test_a_mask_of_blocks() -> None:
    value = torch.zeros(512, 128)
    value[:4, :4] = torch.rand(4, 4) + 1
    value[8, 8] = 2.0
    (stored,) = weight_of(value, block=(4, 4)).stored
    assert (stored.mask_bits, stored.kept) == (4096, 32)  # the challenge's own example: 512 x 128 in blocks of 4 x 4


def test_blocks_at_the_border() -> None:
    kept = kept_weights(torch.eye(3, 5), (2, 2))
    assert kept.int().tolist() == [[1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 1, 1, 0]]


def test_signs_take_one_bit_and_a_scale() -> None:
    signs = torch.where(SOME % 2 == 0, 0.5, -0.5) * torch.arange(1, 9).unsqueeze(1)
    weight = weight_of(signs)
    assert weight.signs and weight.bits == 1
    assert [(s.name, s.kept, s.bits) for s in weight.stored] == [("weight", 512, 1), ("scale", 8, 32)]


def test_ternary_weights_are_signs_behind_a_mask_where_that_is_shorter_than_two_bits() -> None:
    weight = weight_of(torch.where(SOME % 2 == 0, 0.5, 0.0))
    assert weight.stored[0].kept == 256 and weight.stored[0].mask_bits == 512
    dense = weight_of(torch.where(SOME % 8 == 0, 0.0, torch.where(SOME % 2 == 0, 0.5, -0.5)))
    assert dense.stored[0].total_bits == 448 + 512
    few = weight_of(torch.where(SOME == 1, 0.0, torch.where(SOME % 2 == 0, 0.5, -0.5)))
    assert few.stored[0].total_bits == 511 + 512 and few.bits == 1


@pytest.mark.parametrize(
    ("low", "high", "bits"), [(-1, 1, 2), (-8, 7, 4), (-7, 7, 4), (-9, 7, 5), (-128, 127, 8), (0, 127, 8), (0, 0, 2)]
)
def test_integers_take_what_their_extremes_take(low: int, high: int, bits: int) -> None:
    assert width_of(torch.tensor([low, high], dtype=torch.int8)) == bits


def test_integers_of_minus_one_and_one_take_one_bit_without_a_scale_of_their_own() -> None:
    weight = weight_of(torch.where(SOME % 2 == 0, 1, -1).to(torch.int8))
    assert [s.bits for s in weight.stored] == [1]


def test_tensors_stored_whole() -> None:
    assert plain("bias", None) == ()
    assert plain("bias", torch.zeros(3, dtype=torch.int32))[0].total_bits == 96
    assert plain("mask", torch.zeros(3, dtype=torch.bool))[0].total_bits == 3
    assert plain("bias", torch.zeros(3), 8)[0].total_bits == 24


def test_a_block_without_weights() -> None:
    with pytest.raises(InputError, match="a block has weights in it"):
        check_block((0, 4))
    check_block((4, 4))
