"""A model that keeps the shape of its last input is captured for every batch, and keeps that shape."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn

import fxpasses as fx
from fxpasses.capturing.remembered_sizes import remembers_sizes, sizes_forgotten
from fxpasses.graph.stages import CaptureMethod, graph_facts
from fxpasses.signature.free_sizes import BATCH, free_sizes


class Anchored(nn.Module):
    """A head that makes its places anew when the shape of its input changes, as ultralytics' Detect does."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.shape: torch.Size | None = None
        self.places = torch.empty(0)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        shape = y.shape
        if self.shape != shape:
            self.places = torch.arange(shape[2] * shape[3], dtype=y.dtype)
            self.shape = shape
        found: Tensor = y.view(shape[0], 4, -1) + self.places
        return found


def test_the_batch_is_free() -> None:
    model, x = Anchored().eval(), torch.randn(2, 3, 5, 4)
    model(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        graph = fx.capture(model, x)
    assert graph_facts(graph).capture_method is CaptureMethod.EXPORT
    assert free_sizes(graph).inputs == ({0: BATCH},)
    other = torch.randn(5, 3, 5, 4)
    torch.testing.assert_close(graph(other), model(other))


def test_shapes_are_put_back() -> None:
    model = nn.Sequential(Anchored().eval(), nn.Flatten())
    assert not remembers_sizes(model)
    model(torch.randn(2, 3, 5, 4))
    assert remembers_sizes(model)

    def fail() -> None:
        with sizes_forgotten(model):
            assert model[0].shape is None
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert model[0].shape == (2, 4, 5, 4)
