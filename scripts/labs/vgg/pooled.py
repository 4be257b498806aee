"""The VGG of the pruning part of lab 1: eight 3x3 convolutions with BatchNorm, four pools, the mean, one linear layer.

Input ``[B, 3, 32, 32]`` of pixels 0 to 1. With the published widths it has 9.23 million parameters and 606 million
multiply-accumulates; ``narrowed`` divides the widths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from torch import Tensor, nn

WIDTHS = (64, 128, 256, 256, 512, 512, 512, 512)
POOLED = (1, 3, 5, 7)
"""Numbers of the convolutions that have a pool after them."""
CLASSES = 10


class PooledVgg(nn.Module):
    """VGG from ``[B, 3, 32, 32]`` to logits ``[B, 10]``; ``widths`` are the channels of the convolutions."""

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for number, (before, after) in enumerate(pairwise((3, *widths))):
            layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
            if number in POOLED:
                layers.append(nn.MaxPool2d(2))
        self.backbone = nn.Sequential(*layers)
        self.classifier = nn.Linear(widths[-1], CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.backbone(x).mean((2, 3)))
        return logits


def shaped(state: Mapping[str, Tensor]) -> PooledVgg:
    """Make the net for some weights, by their shapes."""
    return PooledVgg([value.shape[0] for value in state.values() if value.dim() == 4])


def narrowed(divisor: int) -> PooledVgg:
    """Make the net with a fraction of its channels."""
    return PooledVgg(tuple(width // divisor for width in WIDTHS))
