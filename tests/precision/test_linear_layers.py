"""Layers that share a module, and layers that are not changed."""

from __future__ import annotations

import torch
from lowered_nets import changed, mixed, reasons
from torch import Tensor, nn

import fxpasses
from fxpasses.precision.dynamic import DynamicLinear, to_dynamic


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(7, 7)

    def forward(self, x: Tensor) -> Tensor:
        twice: Tensor = self.layer(torch.relu(self.layer(x)))
        return twice


def test_a_shared_layer_becomes_one_shared_layer() -> None:
    lowered = to_dynamic(fxpasses.fuse(fxpasses.capture(Shared().eval(), torch.randn(2, 7))))
    assert len(changed(lowered)) == 2
    assert sum(isinstance(m, DynamicLinear) for m in lowered.modules()) == 1
    assert not any(type(m) is nn.Linear for m in lowered.modules())


def test_layers_asked_for_in_float() -> None:
    lowered = to_dynamic(mixed(), keep_float=["last"])
    assert changed(lowered) == ["first"]
    assert reasons(lowered)["last"] == "asked for by 'last'"
