"""ResNet-18 for 32x32 inputs: the widths of He et al. 2015 for ImageNet, after a stem that does not shrink the image.

The stem is one 3x3 convolution of stride 1 without a pool. Four stages of two basic blocks have 64, 128, 256 and 512
channels; at the start of a stage the shortcut is a 1x1 convolution with BatchNorm (option B). 11.17 million parameters,
0.56 billion multiply-accumulates. Courses that use CIFAR-10 mean this net by ResNet-18.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ..model_input import Preprocessing

STAGE_WIDTHS = (64, 128, 256, 512)
BLOCKS_PER_STAGE = 2
CIFAR_STATISTICS = Preprocessing(mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010))
"""Mean of CIFAR-10's pixels, and the standard deviation that courses divide by: the mean of those of single images."""


class ProjectedBlock(nn.Module):
    """Block ``relu(bn(conv(relu(bn(conv(x))))) + shortcut(x))``; the shortcut is ``bn(1x1 conv)`` if shapes differ."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.shortcut = nn.Sequential()
        if stride != 1 or in_channels != out_channels:
            projection = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + self.shortcut(x))


class CifarResNet18(nn.Module):
    """ResNet-18 from ``[B, 3, 32, 32]`` to logits ``[B, num_classes]``; ``width`` of the first stage doubles at each
    next.
    """

    def __init__(self, num_classes: int = 10, width: int = STAGE_WIDTHS[0]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        blocks: list[nn.Module] = []
        channels = width
        for stage in range(len(STAGE_WIDTHS)):
            for block in range(BLOCKS_PER_STAGE):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(ProjectedBlock(channels, width << stage, stride))
                channels = width << stage
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        logits: Tensor = self.linear(self.pool(self.blocks(x)).flatten(1))
        return logits
