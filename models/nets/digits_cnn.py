"""A small residual network for scikit-learn's 8x8 digits; the quickstart trains it in seconds.

It has one example of each part of a larger network: conv-bn-relu, a residual add, max pooling, ReLU6, global average
pooling and a linear layer. A run of it uses the whole tool chain.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class DigitsBlock(nn.Module):
    """Block ``relu(bn(conv(relu6(bn(conv(x))))) + x)``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + x)


class DigitsCnn(nn.Module):
    """Network from ``[B, 1, 8, 8]`` to logits ``[B, num_classes]``; 52 000 parameters."""

    def __init__(self, num_classes: int = 10, narrow: int = 16, wide: int = 48) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, narrow, 3, padding=1, bias=False)
        self.stem_bn = nn.BatchNorm2d(narrow)
        self.block1 = DigitsBlock(narrow)
        self.widen = nn.Conv2d(narrow, wide, 3, padding=1, bias=False)
        self.widen_bn = nn.BatchNorm2d(wide)
        self.block2 = DigitsBlock(wide)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(wide, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.block1(F.relu(self.stem_bn(self.stem(x))))
        x = F.max_pool2d(x, 2)
        x = self.block2(F.relu(self.widen_bn(self.widen(x))))
        logits: Tensor = self.classifier(self.pool(x).flatten(1))
        return logits
