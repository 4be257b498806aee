"""VGG-16 with batch normalisation for 32x32 inputs: the usual subject of filter pruning.

Simonyan and Zisserman 2014, configuration D, with one linear layer after the convolutions as in Li et al. 2016
("Pruning Filters for Efficient ConvNets") and Liu et al. 2017 ("Network Slimming"). A width may be any number, so that
a pruned network is the same class with smaller widths.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

POOL: Literal["pool"] = "pool"
Plan = Sequence[int | Literal["pool"]]
VGG16: Plan = (64, 64, POOL, 128, 128, POOL, 256, 256, 256, POOL, 512, 512, 512, POOL, 512, 512, 512)
VGG16_HALF: Plan = (32, 32, POOL, 64, 64, POOL, 128, 128, 128, POOL, 256, 256, 256, POOL, 256, 256, 256)
"""Plan with half of the widths, and a quarter of the products, for shorter training."""


class VggCifar(nn.Module):
    """VGG from ``[B, 3, 32, 32]`` to logits ``[B, num_classes]``."""

    def __init__(self, plan: Plan = VGG16, num_classes: int = 10) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width in plan:
            if width == POOL:
                layers.append(nn.MaxPool2d(2))
                continue
            layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(True)]
            channels = width
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.pool(self.features(x)).flatten(1))
        return logits
