"""Optimizers for both phases, and the parameter groups of a TRAINING graph; they also serve a loop of your own."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx, nn

from ...quantization.numbers.qparams import IntType
from ..fake.trained_layer import TrainedLayer
from ..frozen.frozen_layer import FrozenLayer
from .run_settings import RunSettings

_BIAS_RATE = 10.0
"""Learning rate of a frozen layer's biases, relative to its weights: a sum has many terms, so bias steps are finer."""


_FULL_RATE_AT = 8
"""Largest integer of a grid from which on the whole rate is used: that of 5 bits is 15, of 4 bits 7, of 2 bits 1."""


def parameter_groups(gm: nn.Module, settings: RunSettings | None = None) -> list[dict[str, Any]]:
    """Parameter groups of an open TRAINING graph for SGD: weights decay; steps, biases and BatchNorms do not.

    Each has ``lr`` and ``weight_decay``. Learned steps need no other rate, because their gradients are scaled.
    """
    settings = settings or RunSettings()
    decaying = {id(m.weight) for m in gm.modules() if isinstance(m, TrainedLayer)}
    decaying |= {id(p) for p in gm.parameters() if p.dim() > 1}
    trained = [p for p in gm.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if id(p) in decaying], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if id(p) not in decaying], "weight_decay": 0.0},
    ]
    return [{**group, "lr": settings.lr} for group in groups if group["params"]]


def frozen_parameter_groups(gm: nn.Module, settings: RunSettings | None = None) -> list[dict[str, Any]]:
    """Parameter groups of a frozen TRAINING graph for Adam, whose steps are about as large as the rate.

    Layers of fewer than 5 bits have a smaller rate: see :func:`frozen_rate`.
    """
    settings = settings or RunSettings()
    layers: dict[float, list[FrozenLayer]] = {}
    for module in gm.modules():
        if isinstance(module, FrozenLayer):
            layers.setdefault(frozen_rate(settings, module.grid), []).append(module)
    groups = []
    for rate, equal in layers.items():
        weights = [m.weight for m in equal if m.weight.requires_grad]
        biases = [m.bias for m in equal if m.bias is not None and m.bias.requires_grad]
        groups += [{"params": weights, "lr": rate}, {"params": biases, "lr": rate * _BIAS_RATE}]
    return [group for group in groups if group["params"]]


def frozen_rate(settings: RunSettings, grid: IntType) -> float:
    """Learning rate of a frozen layer's weights, in steps of their scale.

    The fewer levels a grid has, the more does a weight that moves to the next one change the layer. At 2 bits the rate
    of 8 bits moves so many at once that the first steps undo what the open phase has learned.
    """
    return settings.frozen_lr * min(1.0, grid.high / _FULL_RATE_AT)


def optimizer_of(gm: fx.GraphModule, settings: RunSettings, *, frozen: bool) -> torch.optim.Optimizer:
    """Make the optimizer of a phase; each group's first rate is kept as ``initial_lr``."""
    made: torch.optim.Optimizer
    if frozen:
        made = torch.optim.Adam(frozen_parameter_groups(gm, settings))
    else:
        made = torch.optim.SGD(
            parameter_groups(gm, settings), settings.lr, settings.momentum, nesterov=settings.momentum > 0
        )
    for group in made.param_groups:
        group["initial_lr"] = group["lr"]
    return made


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Multiply every group's first rate by a factor."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor
