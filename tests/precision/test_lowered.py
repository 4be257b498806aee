"""Overflow of a lowered graph: a value that is not finite where the float graph's is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from lowered_nets import images, mixed
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.precision.dynamic import to_dynamic
from fxpasses.precision.half import to_half
from fxpasses.precision.lowered import first_overflow
from fxpasses.precision.weight_only import to_weight_only

LOWERINGS: dict[str, Callable[[fx.GraphModule], fx.GraphModule]] = {
    "fp16": lambda graph: to_half(graph, "fp16"),
    "bf16": lambda graph: to_half(graph, "bf16"),
    "dynamic": to_dynamic,
    "weight-only": to_weight_only,
}
LOWEST = torch.finfo(torch.float32).min


class Masked(nn.Module):
    """Attention scores with a constant above the diagonal."""

    mask: Tensor

    def __init__(self, value: float) -> None:
        super().__init__()
        self.scores = nn.Linear(4, 4)
        self.register_buffer("mask", torch.full((4, 4), value).triu(1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(self.scores(x) + self.mask, -1)


def overflowing(value: float, lowering: str) -> str | None:
    """Name of the node of :class:`Masked` that overflows."""
    graph = fxpasses.fuse(fxpasses.capture(Masked(value).eval(), torch.randn(4, 4)))
    node = first_overflow(LOWERINGS[lowering](graph), graph, (torch.randn(4, 4),))
    return None if node is None else node.name


def test_overflow_is_found_where_it_happens() -> None:
    lowered = to_half(mixed(), "fp16")
    assert first_overflow(lowered, mixed(), (images(),)) is None
    node = first_overflow(lowered, mixed(), (images() * 1e6,))
    assert node is not None and node.name == "to"


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_a_mask_that_is_infinite_in_float_does_not_overflow(lowering: str) -> None:
    assert overflowing(float("-inf"), lowering) is None
    assert overflowing(-1e4, lowering) is None


@pytest.mark.parametrize("value", [LOWEST, -1e5])
def test_a_finite_mask_overflows_where_it_becomes_infinite(value: float) -> None:
    assert overflowing(value, "fp16") == "mask"
    assert overflowing(value, "bf16") is None


def test_a_value_that_is_finite_in_float_behind_an_infinite_one_is_an_overflow() -> None:
    """In float the softmax of such a row is finite; with every score at -inf it is not."""
    graph = fxpasses.fuse(fxpasses.capture(Masked(float("-inf")).eval(), torch.randn(4, 4)))
    lowered = to_half(graph, "fp16")
    lowered.get_buffer("mask").fill_(float("-inf"))
    node = first_overflow(lowered, graph, (torch.randn(4, 4),))
    assert node is not None and node.name == "mask"
