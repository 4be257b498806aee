"""Networks for binary weights and inputs; each is its own float twin, too.

``F.hardtanh`` marks the place of a sign; its gradient is that of XNOR-Net's sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

EPS = 1e-4
"""Epsilon of BatchNorm in BinaryConnect and XNOR-Net."""


class MnistMlp(nn.Module):
    """BinaryConnect's network for MNIST: three hidden layers, and BatchNorm after every layer, including the last.

    ``[B, 1, 28, 28]`` to ``[B, num_classes]``.
    """

    def __init__(self, width: int = 1024, num_classes: int = 10) -> None:
        super().__init__()
        widths = (28 * 28, width, width, width, num_classes)
        pairs = list(pairwise(widths))
        self.layers = nn.ModuleList(nn.Linear(i, o, bias=False) for i, o in pairs)
        self.norms = nn.ModuleList(nn.BatchNorm1d(o, eps=EPS, momentum=0.15) for _, o in pairs)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for layer, norm in zip(self.layers[:-1], self.norms[:-1], strict=True):
            x = F.relu(norm(layer(x)))
        logits: Tensor = self.norms[-1](self.layers[-1](x))
        return logits


class BinaryConnectCifar(nn.Module):
    """BinaryConnect's form of a network for CIFAR-10: each layer is convolution, max-pool or none, BatchNorm, ReLU.

    ``widths`` are those of the convolutions and ``pooled`` tells which of them have a pool after them. The paper has
    (128, 128, 256, 256, 512, 512), with a pool after every second one, and 1024 and 1024 hidden units.
    ``[B, 3, 32, 32]`` to ``[B, num_classes]``.
    """

    def __init__(
        self,
        widths: Sequence[int] = (48, 96, 192),
        pooled: Sequence[bool] = (True, True, True),
        hidden: Sequence[int] = (256,),
        num_classes: int = 10,
    ) -> None:
        super().__init__()
        self.pooled = tuple(pooled)
        self.convs, self.conv_norms = nn.ModuleList(), nn.ModuleList()
        for width_in, width in zip((3, *widths[:-1]), widths, strict=True):
            self.convs.append(nn.Conv2d(width_in, width, 3, padding=1, bias=False))
            self.conv_norms.append(nn.BatchNorm2d(width, eps=EPS))
        side = 32 >> sum(self.pooled)
        units = (widths[-1] * side * side, *hidden, num_classes)
        self.linears, self.linear_norms = nn.ModuleList(), nn.ModuleList()
        for units_in, units_out in pairwise(units):
            self.linears.append(nn.Linear(units_in, units_out, bias=False))
            self.linear_norms.append(nn.BatchNorm1d(units_out, eps=EPS))

    def forward(self, x: Tensor) -> Tensor:
        for conv, norm, pooled in zip(self.convs, self.conv_norms, self.pooled, strict=True):
            x = conv(x)
            x = F.relu(norm(F.max_pool2d(x, 2) if pooled else x))
        x = x.flatten(1)
        for linear, norm in zip(self.linears[:-1], self.linear_norms[:-1], strict=True):
            x = F.relu(norm(linear(x)))
        logits: Tensor = self.linear_norms[-1](self.linears[-1](x))
        return logits


class XnorLeNet(nn.Module):
    """LeNet with XNOR-Net's blocks: BatchNorm, clamp, layer, pool; the first and the last layer are ordinary ones.

    ``[B, 1, 28, 28]`` to ``[B, num_classes]``. The clamp becomes a sign, and the middle layers become binary.
    """

    def __init__(self, num_classes: int = 10, widths: Sequence[int] = (20, 50, 500)) -> None:
        super().__init__()
        first, second, hidden = widths
        self.conv1 = nn.Conv2d(1, first, 5)
        self.norm1 = nn.BatchNorm2d(first, eps=EPS)
        self.norm2 = nn.BatchNorm2d(first, eps=EPS, affine=False)
        self.conv2 = nn.Conv2d(first, second, 5, bias=False)
        self.norm3 = nn.BatchNorm2d(second, eps=EPS, affine=False)
        self.fc1 = nn.Linear(second * 4 * 4, hidden, bias=False)
        self.norm4 = nn.BatchNorm1d(hidden, eps=EPS)
        self.fc2 = nn.Linear(hidden, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.norm1(self.conv1(x))), 2)
        x = F.max_pool2d(self.conv2(F.hardtanh(self.norm2(x))), 2)
        x = self.fc1(F.hardtanh(self.norm3(x)).flatten(1))
        logits: Tensor = self.fc2(F.relu(self.norm4(x)))
        return logits


class XnorCifar(nn.Module):
    """XNOR-Net's blocks on CIFAR-10: a float stem, then BatchNorm, clamp, convolution, pool; a float classifier.

    ``[B, 3, 32, 32]`` to ``[B, num_classes]``; every convolution except the first is binary and has a pool after it.
    """

    def __init__(self, widths: Sequence[int] = (48, 96, 192), hidden: int = 256, num_classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, widths[0], 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(widths[0], eps=EPS)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width, eps=EPS, affine=False) for width in widths)
        self.convs = nn.ModuleList(nn.Conv2d(i, o, 3, padding=1, bias=False) for i, o in pairwise(widths))
        side = 32 >> len(widths)
        self.linear = nn.Linear(widths[-1] * side * side, hidden, bias=False)
        self.last_norm = nn.BatchNorm1d(hidden, eps=EPS)
        self.classifier = nn.Linear(hidden, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.stem_norm(self.stem(x))), 2)
        for norm, conv in zip(self.norms[:-1], self.convs, strict=True):
            x = F.max_pool2d(conv(F.hardtanh(norm(x))), 2)
        x = self.linear(F.hardtanh(self.norms[-1](x)).flatten(1))
        logits: Tensor = self.classifier(F.relu(self.last_norm(x)))
        return logits
