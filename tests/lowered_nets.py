"""A small net with every kind of layer that a lowering meets, captured and fused."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, fx, nn

import fxpasses


class Mixed(nn.Module):
    """Convolution, norm, and two linear layers of odd sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3)
        self.norm = nn.LayerNorm(45)
        self.first, self.last = nn.Linear(45, 37), nn.Linear(37, 11)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(torch.relu(self.conv(x)).flatten(1))
        logits: Tensor = self.last(torch.relu(self.first(y)))
        return logits


@cache
def mixed() -> fx.GraphModule:
    """The fused FLOAT graph; not to be changed."""
    torch.manual_seed(3)
    return fxpasses.fuse(fxpasses.capture(Mixed().eval(), torch.randn(2, 3, 5, 5)))


def images(batch: int = 6) -> Tensor:
    return torch.randn(batch, 3, 5, 5, generator=torch.Generator().manual_seed(7))


def reasons(gm: fx.GraphModule) -> dict[str, str]:
    """Reasons of the last pass for nodes that it did not change."""
    from fxpasses.graph.pass_runner import pass_logs

    return {skip.node: skip.why for skip in pass_logs(gm)[-1].result.skipped}


def changed(gm: fx.GraphModule) -> list[str]:
    from fxpasses.graph.pass_runner import pass_logs

    return [change.node for change in pass_logs(gm)[-1].result.changed]


def sqnr_db(expected: Tensor, found: Tensor) -> float:
    return float(10 * torch.log10(expected.square().sum() / (expected - found).square().sum()))
