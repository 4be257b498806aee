"""Tiny nets that a step must refuse with its reason, or that only one way of capturing can follow."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from tiny_nets.convolutions import conv
from tiny_nets.net import OneInput, TinyNet, tiny


class DataDependentIf(nn.Module):
    """The layer that runs depends on the values: no single graph can express it."""

    def __init__(self) -> None:
        super().__init__()
        self.bright, self.dark = conv(), conv()

    def forward(self, x: Tensor) -> Tensor:
        layer = self.bright if x.mean() > 0 else self.dark
        out: Tensor = layer(x)
        return out


class ShapeDependentIf(nn.Module):
    """The branch depends on the width alone: ``torch.export`` knows it, ``symbolic_trace`` does not."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = conv(), nn.BatchNorm2d(8)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] % 2:
            x = F.pad(x, (0, 1))
        return F.relu(self.bn(self.conv(x)))


class LargestRow(nn.Module):
    """A value decides the row: no tracer can follow it, but the module can stay whole in a graph."""

    def forward(self, x: Tensor) -> Tensor:
        row = int(x.abs().sum((0, 1, 3)).argmax())
        return x[:, :, row : row + 1]


class AugmentedAssignment(nn.Module):
    """Net with ``y += x`` after ``y`` was kept: eagerly both change, but ``symbolic_trace`` records a plain ``y + x``.

    The traced graph is wrong without an error; ``torch.export`` is right.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = conv(5, 5, padding=1), conv(5, 5, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        kept = y
        y += x
        out: Tensor = self.second(kept) * y
        return out


def _to_training(net: nn.Module) -> None:
    net.train()


REFUSED_NETS: tuple[TinyNet, ...] = (
    tiny("data_dependent_if", DataDependentIf),
    tiny("only_by_export", ShapeDependentIf),
    tiny("only_by_export_augmented_assignment", AugmentedAssignment),
    tiny("only_with_leaf", lambda: nn.Sequential(conv(), nn.BatchNorm2d(8), LargestRow(), conv(8, 3, kernel=1)),
         leaves=(LargestRow,)),
    tiny("batch_norm_in_training", lambda: nn.Sequential(conv(), nn.BatchNorm2d(8), nn.ReLU()),
         afterwards=_to_training),
    # Without running statistics eval mode too takes them from the batch: nothing constant to fold.
    tiny("batch_norm_without_statistics", lambda: nn.Sequential(conv(), nn.BatchNorm2d(8, track_running_stats=False))),
    tiny("dropout_in_training", lambda: OneInput(lambda net, x: net.drop(net.conv(x)), conv=conv(), drop=nn.Dropout()),
         afterwards=_to_training),
)  # fmt: skip
