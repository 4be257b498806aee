"""A model of which nothing runs in int8 is told, with the reasons."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn

import fxpasses as fx
from fxpasses.quantization.api import Override


class Bilinear(nn.Module):
    """A net of two operators without an integer form here."""

    def __init__(self) -> None:
        super().__init__()
        self.product = nn.Bilinear(6, 6, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.product(x, x).tanh()
        return y


def test_a_model_of_floats_alone_is_told_so() -> None:
    x = torch.randn(4, 6)
    with pytest.warns(UserWarning, match=r"nothing in this model runs in int8 \(product: fxpasses has no integer form"):
        fx.quantize(Bilinear().eval(), x, [x])


def test_layers_kept_by_the_settings_are_named() -> None:
    x = torch.randn(4, 6)
    config = fx.QuantConfig(overrides=(Override("0", keep_float=True),))
    with pytest.warns(UserWarning, match=r"nothing in this model runs in int8 \(_0: "):
        fx.quantize(nn.Sequential(nn.Linear(6, 3)).eval(), x, [x], config)


def test_a_model_that_computes_nothing() -> None:
    x = torch.randn(4, 6)
    with pytest.warns(UserWarning, match=r"\(it computes nothing\)"):
        fx.quantize(nn.Identity().eval(), x, [x])


def test_one_integer_is_enough() -> None:
    x = torch.randn(4, 6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fx.quantize(nn.Sequential(nn.Linear(6, 6), Bilinear()).eval(), x, [x])
