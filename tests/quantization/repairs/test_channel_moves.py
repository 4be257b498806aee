"""Places of channels after values were moved."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.graph.edit import operator_name
from fxpasses.quantization.repairs.channel_moves import moved_axis


class Function(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x) + 0.5


def axis_after(function: Callable[[Tensor], Tensor], shape: tuple[int, ...], axis: int) -> int | None:
    gm = fxpasses.capture(Function(function).eval(), torch.randn(shape))
    names = ("reshape", "permute", "transpose", "roll")
    (node,) = (n for n in gm.graph.nodes if isinstance(n, fx.Node) and operator_name(gm, n) in names)
    return moved_axis(node, axis)


TOKENS, IMAGE = (2, 4, 4, 6), (2, 6, 4, 4)
MOVED: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...], int, int | None]] = {
    "windows": (lambda x: x.view(x.shape[0], 2, 2, 2, 2, x.shape[3]), TOKENS, 3, 5),
    "windows of a known width": (lambda x: x.view(-1, 4, 6), TOKENS, 3, 2),
    "heads": (lambda x: x.reshape(x.shape[0], 16, 2, 3), TOKENS, 3, None),
    "other channels": (lambda x: x.reshape(x.shape[0], 6, 16), TOKENS, 3, None),
    "to tokens": (lambda x: x.reshape(x.shape[0], 6, -1), IMAGE, 1, 1),
    "channels cut": (lambda x: x.reshape(x.shape[0], 3, -1), IMAGE, 1, None),
    "a size of the batch": (lambda x: x.reshape(4, 4, x.shape[0]), (2, 4, 4), 2, None),
    "permute": (lambda x: x.permute(0, 3, 1, 2), TOKENS, 3, 1),
    "permute from the end": (lambda x: x.permute(0, -1, 1, 2), TOKENS, 3, 1),
    "transpose": (lambda x: x.transpose(1, -1), TOKENS, 3, 1),
    "transpose of others": (lambda x: x.transpose(1, 2), TOKENS, 3, 3),
    "roll": (lambda x: torch.roll(x, (-1, -1), (1, 2)), TOKENS, 3, 3),
    "roll of channels": (lambda x: torch.roll(x, 1, 3), TOKENS, 3, None),
    "roll of everything": (lambda x: torch.roll(x, 1), TOKENS, 3, None),
}


@pytest.mark.parametrize("name", MOVED)
def test_where_channels_are(name: str) -> None:
    function, shape, before, after = MOVED[name]
    assert axis_after(function, shape, before) == after


def test_what_is_no_move() -> None:
    gm = fxpasses.capture(nn.ReLU().eval(), torch.randn(2, 3))
    (node,) = (n for n in gm.graph.nodes if n.op.startswith("call"))
    assert moved_axis(node, 1) is None
