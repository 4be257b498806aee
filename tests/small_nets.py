"""A small net and its weights, for tests of weight files."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def small_net(outputs: int = 4) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, outputs, 3), nn.BatchNorm2d(outputs))


def state_of(net: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in net.state_dict().items()}


def assert_same_weights(one: nn.Module, other: nn.Module) -> None:
    given = other.state_dict()
    assert all(torch.equal(value, given[name]) for name, value in one.state_dict().items())
