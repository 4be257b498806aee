"""A model is after a trace what it was before, whether the trace works or not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import fxpasses
from fxpasses.capturing.symbolic_trace import trace_graph
from fxpasses.errors import GraphError

X = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))


class Running(nn.Module):
    """Replaces a buffer and an attribute, and makes a new one."""

    def __init__(self, fails: bool = False) -> None:
        super().__init__()
        self.layer, self.fails, self.last = nn.Linear(4, 3), fails, None
        self.register_buffer("mean", torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x)
        self.mean = 0.9 * self.mean + 0.1 * y.mean(0)
        self.last, self.shape = y, y.shape  # type: ignore[assignment]  # what models do
        self.new = y
        return y if not self.fails or y.sum() > 0 else y - self.mean


@pytest.mark.parametrize("fails", [False, True])
def test_what_a_trace_replaced_is_back(fails: bool) -> None:
    inner = Running(fails)
    model = nn.Sequential(inner).eval()
    before = inner.mean
    if fails:
        with pytest.raises(GraphError):
            trace_graph(model, (X,))
    else:
        trace_graph(model, (X,))
    assert inner.mean is before and inner.last is None and not hasattr(inner, "new")
    assert torch.isfinite(model(X)).all()


class Remembers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.register_buffer("mean", torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x)
        self.mean = 0.9 * self.mean + 0.1 * y.mean(0)
        return y - self.mean


def test_a_state_between_calls_is_told_in_numbers() -> None:
    model = Remembers().eval()
    with pytest.raises(GraphError, match=r"why: outputs differ by .*keeps state between calls"):
        fxpasses.capture(model, X)
    assert isinstance(model.mean, Tensor)
