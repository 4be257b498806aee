"""A residual network for binary convolutions: Bi-Real Net's shortcuts with ReActNet's shifted signs and PReLUs.

Liu et al. 2018 and 2020: every binary convolution has a shortcut around it, which keeps real values. One block is
shift, sign (here ``F.hardtanh``), convolution, BatchNorm, plus the input, shift, PReLU, shift. If a block halves the
image, its shortcut is an average pool and, if channels double, a 1x1 convolution. Both are float, as are the stem and
the classifier.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Shift(nn.Module):
    """Shift of each channel by a learned number: ``x + b``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias


class BiRealBlock(nn.Module):
    """One convolution with its shortcut."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.before_sign = Shift(channels_in)
        self.conv = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels_out)
        self.stride = stride
        self.shortcut: nn.Module | None = None
        if channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, bias=False), nn.BatchNorm2d(channels_out)
            )
        self.before_prelu, self.after_prelu = Shift(channels_out), Shift(channels_out)
        self.prelu = nn.PReLU(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        around = F.avg_pool2d(x, 2) if self.stride == 2 else x
        around = around if self.shortcut is None else self.shortcut(around)
        x = self.norm(self.conv(F.hardtanh(self.before_sign(x)))) + around
        result: Tensor = self.after_prelu(self.prelu(self.before_prelu(x)))
        return result


class BiRealCifar(nn.Module):
    """``[B, 3, 32, 32]`` to ``[B, num_classes]``; three stages at 32, 16 and 8 pixels."""

    def __init__(self, widths: Sequence[int] = (32, 64, 128), blocks: int = 2, num_classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, widths[0], 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(widths[0])
        stages: list[nn.Module] = []
        channels = widths[0]
        for number, width in enumerate(widths):
            for block in range(blocks):
                stages.append(BiRealBlock(channels, width, 2 if number and not block else 1))
                channels = width
        self.stages = nn.Sequential(*stages)
        self.classifier = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages(self.stem_norm(self.stem(x)))
        logits: Tensor = self.classifier(F.adaptive_avg_pool2d(x, 1).flatten(1))
        return logits
