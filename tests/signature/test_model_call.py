"""Ways to call a model, and inputs that are refused."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import fxpasses as fx
from fxpasses.signature.model_call import argument_names, bound, called


class Named(nn.Module):
    def forward(self, x: Tensor, mask: Tensor | None = None, *, scale: Tensor | None = None, **more: Any) -> Tensor:
        return x


class Whole(nn.Module):
    def forward(self, batch: Any) -> Tensor:
        value: Tensor = batch["x"]
        return value


X = torch.zeros(1)


def test_names_are_put_in_the_order_of_the_parameters() -> None:
    assert bound(Named(), {"more": X, "scale": X, "x": X})[1] == ("x", "scale", "more")
    assert bound(Named(), (X, X)) == ((X, X), ())


def test_a_dict_that_names_no_parameters_is_one_input() -> None:
    assert bound(Whole(), {"x": X}) == (({"x": X},), ())
    assert bound(Whole(), {"batch": X})[1] == ("batch",)


def test_calls_and_names_of_arguments() -> None:
    assert called(lambda a, b, c: (a, b, c), (1, 2), ("c",), 0) == (0, 1, 2)
    assert argument_names(Named().forward, (X, X), ("scale",)) == ["x", "scale"]


@dataclass
class Batch:
    x: Tensor


@pytest.mark.parametrize("held", [Batch(X), SimpleNamespace(x=X)], ids=["dataclass", "object"])
def test_objects_that_hold_tensors_are_refused(held: Any) -> None:
    with pytest.raises(fx.GraphError, match=r"(?s)input 0 of Whole holds a \w+.*fix: wrap the model in a module"):
        fx.capture(Whole().eval(), (held,))
