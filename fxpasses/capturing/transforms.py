"""Let transforms of torchvision be traced that look at their input, or at their own constants.

``torchvision.transforms.Normalize`` in front of a model asks whether its input is a tensor, which a trace's is not, and
whether a deviation is zero, which torch.export cannot answer. What it computes is a difference and a quotient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


def plain_forward(module: nn.Module) -> Callable[[Any], Any] | None:
    """A function that computes what a transform does, without its checks; None for all other modules."""
    kind = type(module)
    if (kind.__module__, kind.__name__) != ("torchvision.transforms.transforms", "Normalize"):
        return None
    mean, deviation = (torch.as_tensor(getattr(module, name)).view(-1, 1, 1) for name in ("mean", "std"))
    return lambda tensor: (tensor - mean) / deviation
