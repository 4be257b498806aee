"""Dimensions of the batch, along which samples are separate; unusual ones are in ``odd_batches.py``."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import fxpasses as fx
from fxpasses.signature.free_sizes import FreeSizes, free_sizes, merged, moved_dims, set_free_sizes


class Mixed(nn.Module):
    """Model in which every row depends on all others."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc(x)
        return y - y.mean(0)


def test_samples_that_are_mixed_are_told() -> None:
    assert free_sizes(fx.capture(nn.Linear(6, 5).eval(), torch.randn(2, 6))).separate
    mixed = free_sizes(fx.capture(Mixed().eval(), torch.randn(2, 6)))
    assert mixed.inputs == ({0: "batch"},) and not mixed.separate


def test_more_than_two_samples_are_tried_in_another_order() -> None:
    assert free_sizes(fx.capture(nn.Linear(6, 5).eval(), torch.randn(5, 6))).tried == {"batch": 2}


def test_a_graph_of_which_nothing_was_learned_has_the_batch_in_front() -> None:
    gm = fx.capture(nn.Linear(6, 5).eval(), torch.randn(2, 6))
    set_free_sizes(gm, None)  # type: ignore[arg-type]  # as in files of before
    assert free_sizes(gm).inputs == ({0: "batch"},)


def test_sizes_can_be_merged_and_fixed_again() -> None:
    batch = FreeSizes(({0: "batch"},), ({0: "batch"},), True, {"batch": 3})
    both = merged(batch, FreeSizes(({2: "height"},), ({},), tried={"height": 7}, unasked=frozenset({"height"})))
    assert both.inputs == ({0: "batch", 2: "height"},) and both.tried == {"batch": 3, "height": 7}
    assert both.without({"height"}) == batch and both.names == {"batch", "height"}


def test_dimensions_that_move() -> None:
    assert moved_dims(torch.zeros(2, 3, 4), torch.zeros(2, 5, 4)) == [1]
    assert moved_dims(torch.zeros(2, 3), torch.zeros(2)) == []


class OneImage(nn.Module):
    def __init__(self, batched: bool) -> None:
        super().__init__()
        self.conv, self.batched = nn.Conv2d(3, 4, 3), batched

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x[None])[0] if self.batched else self.conv(x)
        return y


def test_a_single_image_is_no_batch() -> None:
    with pytest.raises(fx.GraphError, match=r"(?s)node 'conv'.*one sample of shape \[3, 6, 5\].*x\[None\]"):
        fx.capture(OneImage(batched=False).eval(), torch.rand(3, 6, 5))
    assert free_sizes(fx.capture(OneImage(batched=True).eval(), torch.rand(3, 6, 5))).inputs == ({},)
