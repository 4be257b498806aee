"""Seeded noise as data."""

from __future__ import annotations

import pytest
import torch

from fxpasses.errors import InputError
from fxpasses.models.data.noise_data import noise_splits, parse_shape


def test_an_image_depends_on_its_index_alone() -> None:
    training, held_out = noise_splits((2, 3, 4))
    together, alone = training.inputs(torch.tensor([5, 9])), training.inputs(torch.tensor([9]))
    assert torch.equal(together[1], alone[0])
    assert not torch.equal(together[0], together[1])
    assert not torch.equal(held_out.inputs(torch.tensor([9]))[0], alone[0])


def test_noise_is_standard_normal() -> None:
    training, _ = noise_splits((3, 64, 64))
    values = training.inputs(torch.arange(4))
    assert abs(float(values.mean())) < 0.03
    assert abs(float(values.std()) - 1) < 0.03


def test_shapes_are_read() -> None:
    assert parse_shape("3x224X16") == (3, 224, 16)


@pytest.mark.parametrize("text", ["", "3x", "3x-4", "0x3", "3,4", "3.5x2"])
def test_what_is_no_shape_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not a shape"):
        parse_shape(text)
