"""Weights of two and three levels are found, and other weights are not mistaken for them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fxpasses.quantization.numbers.levels import level_scales

SIGNS = torch.where(torch.randn(4, 32, generator=torch.Generator().manual_seed(0)) > 0, 1.0, -1.0)
SCALES = torch.tensor([0.5, 2.0, 0.1, 3.0])


def test_binary_and_ternary_weights() -> None:
    weight = SIGNS * SCALES[:, None]
    found = level_scales(weight, 0)
    assert found is not None and torch.equal(found, SCALES)
    weight[:, ::3] = 0
    found = level_scales(weight, 0)
    assert found is not None and torch.equal(found, SCALES)
    found = level_scales(weight.t(), 1)
    assert found is not None and torch.equal(found, SCALES)


def test_an_output_of_zeros_gets_the_others_scale() -> None:
    weight = SIGNS * SCALES[:, None]
    weight[1] = 0
    found = level_scales(weight, 0)
    assert found is not None and found[1].item() == pytest.approx((0.5 + 0.1 + 3) / 3)


NONE: dict[str, Tensor] = {
    "one weight of another size": torch.cat([SIGNS[:, :31], torch.full((4, 1), 1.001)], 1),
    "too few weights": SIGNS[:, :15],
    "an identity": torch.eye(32),
    "nothing but zeros": torch.zeros(4, 32),
    "no weights": torch.zeros(0, 32),
    "a bias": SIGNS[0],
    "infinity": SIGNS * torch.inf,
    "NaN": SIGNS * torch.nan,
}


@pytest.mark.parametrize("name", NONE)
def test_no_levels(name: str) -> None:
    assert level_scales(NONE[name], 0) is None
