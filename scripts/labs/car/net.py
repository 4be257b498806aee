"""The driving net: three convolutions at 96x96 positions, a wide linear layer, and four classes.

3x3 to 16 channels and 3x3 to 32, each with BatchNorm and ReLU, 5x5 to 64 with ReLU, linear to 512 with BatchNorm and
ReLU, linear to 4. All but half a million of its 302 million weights are in the first linear layer. ``narrow`` divides
every width, for a machine that has minutes.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from car.frames import CLASSES, SIDE, Frames, augmented
from fxpasses.models.model_input import UNIT_RANGE
from fxpasses.models.training.loop import TrainConfig, train

BATCH, LR = 32, 1e-4
NARROW = 8


class DrivingNet(nn.Module):
    """Net from ``[B, 3, 96, 96]`` to logits ``[B, 4]``."""

    def __init__(self, divisor: int = 1) -> None:
        super().__init__()
        first, second, third, hidden = (width // divisor for width in (16, 32, 64, 512))
        self.features = nn.Sequential(
            *(nn.Conv2d(3, first, 3, padding=1), nn.BatchNorm2d(first), nn.ReLU()),
            *(nn.Conv2d(first, second, 3, padding=1), nn.BatchNorm2d(second), nn.ReLU()),
            *(nn.Conv2d(second, third, 5, padding=2), nn.ReLU()),
        )
        self.decision = nn.Sequential(
            *(nn.Linear(third * SIDE * SIDE, hidden), nn.BatchNorm1d(hidden), nn.ReLU()),
            nn.Linear(hidden, CLASSES),
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.decision(self.features(x).flatten(1))
        return logits


def trained_driving_net(frames: Frames, *, divisor: int, epochs: int, lr: float = LR) -> DrivingNet:
    """Train the net for ``epochs`` epochs with Adam, on augmented frames."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = DrivingNet(divisor)

    def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(epoch)
        order = torch.randperm(len(frames), generator=generator)[: len(frames) // BATCH * BATCH]
        parts = torch.split(order, BATCH)
        return (augmented(UNIT_RANGE(frames.images[part]), frames.labels[part], generator) for part in parts)

    train(net, batches, TrainConfig(epochs, lr, weight_decay=0.0), images_per_epoch=len(frames))
    return net
