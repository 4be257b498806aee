"""Lift functional calls with constant weights, and whole ``torch.export`` graphs, back to layers.

``F.conv2d(x, self.weight)`` and ``aten.conv2d(x, p_weight)`` become the ``nn.Conv2d`` they are, sharing the same
parameter, so that every later step sees one form.
"""

from __future__ import annotations

from typing import Any

from torch import fx, nn


def lift_layers(gm: fx.GraphModule) -> None:
    """Replace functional layer calls on constant weights by modules, in place."""


def export_graph(model: nn.Module, inputs: tuple[Any, ...]) -> fx.GraphModule:
    """Capture through ``torch.export``; raises GraphError with the reason when that fails."""
    raise NotImplementedError
