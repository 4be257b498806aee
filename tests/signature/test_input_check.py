"""Inputs that do not fit a graph are refused; the error names what was given and what is expected."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch import fx as torch_fx

import fxpasses as fx
from fxpasses.signature.examples import inputs_of
from fxpasses.signature.input_check import check_inputs
from fxpasses.signature.samples import count_samples, first_of, is_fixed_batch, pieces_of


class Two(nn.Module):
    def forward(self, x: Tensor, state: Any, flag: bool = False) -> Tensor:
        y: Tensor = x + state["h"][0]
        return y


def graph() -> torch_fx.GraphModule:
    return fx.capture(Two().eval(), (torch.randn(2, 3, 4), {"h": torch.randn(1, 2, 4)[:, :, None]}, True))


def given(n: int, **more: Any) -> tuple[Any, ...]:
    return torch.randn(n, 3, 4), {"h": torch.randn(1, n, 1, 4)}, True


REFUSED: dict[str, tuple[Any, str]] = {
    "number": (given(2)[:1], "it has 1 inputs, the model takes 3"),
    "structure": ((torch.randn(2, 3, 4), torch.randn(2, 4), True), "a Tensor where the model takes a dict of 1 values"),
    "no tensor": ((3, given(2)[1], True), "it holds a int where the model takes a tensor"),
    "a tensor": ((*given(2)[:2], torch.ones(1)), "it holds a tensor where the model was captured with True"),
    "size": ((torch.randn(2, 5, 4), given(2)[1], True), r"(?s)captured for \('batch', 3, 4\).*dynamic=\{\"x\": \{1: "),
    "dtype": ((torch.randn(2, 3, 4).double(), given(2)[1], True), r"float64; the model was captured for"),
    "samples": ((torch.randn(2, 3, 4), given(3)[1], True), "dimension 1 of state_h is 3, and batch is 2 elsewhere"),
    "infinite": ((torch.full((2, 3, 4), torch.inf), given(2)[1], True), "it holds NaN or infinity"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(case: str) -> None:
    inputs, match = REFUSED[case]
    with pytest.raises(fx.InputError, match=match):
        check_inputs(graph(), inputs, "a batch")


def test_takes_other_batches_and_counts_them_where_they_are() -> None:
    gm = graph()
    inputs = given(5)
    check_inputs(gm, inputs, "a batch")
    assert count_samples(gm, inputs) == 5 and is_fixed_batch(gm)
    few = first_of(gm, inputs, 2)
    assert few[0].shape == (2, 3, 4) and few[1]["h"].shape == (1, 2, 1, 4) and few[2] is True
    assert [piece[1]["h"].shape[1] for piece in pieces_of(gm, inputs, 2)] == [2, 2, 1]


def test_inputs_by_name() -> None:
    gm = graph()
    x, state, flag = given(2)
    assert inputs_of(gm, {"state": state, "flag": flag, "x": x}, "a batch") == (x, state, flag)
    with pytest.raises(fx.InputError, match=r"(?s)it has x, y; the model was captured with x, state, flag.*those keys"):
        inputs_of(gm, {"x": x, "y": x}, "a batch")


def test_infinity_is_taken_where_the_example_has_it() -> None:
    mask = nn.Transformer.generate_square_subsequent_mask(3)
    gm = fx.capture(Two().eval(), (torch.randn(2, 3, 3), {"h": mask[None, None]}, True))
    check_inputs(gm, (torch.randn(5, 3, 3), {"h": mask[None, None]}, True), "a batch")
    for wrong in (torch.full((1, 1, 3, 3), torch.nan), mask.nan_to_num(torch.nan)[None, None] / 0):
        with pytest.raises(fx.InputError, match="it holds NaN or infinity"):
            check_inputs(gm, (torch.randn(5, 3, 3), {"h": wrong}, True), "a batch")
