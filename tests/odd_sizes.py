"""Nets that take different sizes, not only batch sizes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from odd_structures import fc, net, structure
from torch import nn

IMAGE = {0: "batch", 2: "height", 3: "width"}

SIZES = [
    structure(
        "larger_images",
        net(lambda self, x: F.pixel_shuffle(self.a(x), 2), a=lambda: nn.Conv2d(3, 8, 3, padding=1)),
        lambda n: (torch.rand(n, 3, 4 + n, 5 + n),),
        IMAGE,
    ),
    structure(
        "segments",
        net(
            lambda self, x: F.interpolate(self.a(x), size=x.shape[2:], mode="bilinear"),
            a=lambda: nn.Conv2d(3, 4, 3, stride=2, padding=1),
        ),
        lambda n: (torch.rand(n, 3, 5 + n, 7 + n),),
        IMAGE,
    ),
    structure(
        "cells",
        net(lambda self, x: self.a(x).flatten(2).transpose(1, 2), a=lambda: nn.Conv2d(3, 7, 2, stride=2)),
        lambda n: (torch.rand(n, 3, 4 * n, 2 + 2 * n),),
        IMAGE,
        dynamic={"x": {2: "height", 3: "width"}},
        quick=True,
    ),
    structure(
        "multiples",
        net(
            lambda self, x: torch.cat([x, F.interpolate(self.a(x), scale_factor=4.0)], 1),
            a=lambda: nn.Conv2d(3, 4, 4, stride=4),
        ),
        lambda n: (torch.rand(n, 3, 4 * n, 8),),
        IMAGE,
        dynamic={"x": {2: "height", 3: "width"}},
    ),
    structure(
        "any_length",
        net(lambda self, ids: self.b(self.a(ids)), a=lambda: nn.Embedding(9, 6), b=fc),
        lambda n: (torch.randint(9, (n, 2 + n)),),
        {0: "batch", 1: "length"},
        dynamic={"ids": {1: "length"}},
    ),
]
