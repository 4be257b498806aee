"""A graph observed for operators that may go back to float, for tests of placement."""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.quantization.config import QuantConfig

CONFIG = QuantConfig(observer="minmax", equalization=False, float_results=False)


class Net(nn.Module):
    """Two sums, a product, a sigmoid and operators that only move values."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        y = self.second(x) + x
        y = y * torch.sigmoid(y)
        return torch.relu(y + x).flatten(1)


def observed_with(config: QuantConfig) -> fx.GraphModule:
    x = torch.randn(4, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    graph = fxpasses.observe(fxpasses.fuse(fxpasses.capture(Net().eval(), x)), config, every_tensor=True)
    fxpasses.calibrate(graph, [x])
    return graph
