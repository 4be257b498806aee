"""A model ready to run: the module and what it is fed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .model_input import InputShape, Preprocessing


@dataclass(frozen=True)
class LoadedModel:
    """A module in eval mode. ``input_shape`` is one input without the batch, ``(C, H, W)`` for images."""

    name: str
    module: nn.Module
    input_shape: InputShape
    preprocessing: Preprocessing
    pretrained: bool

    def example_inputs(self, batch: int = 2, seed: int = 0) -> tuple[Tensor, ...]:
        """One batch of normal noise, float32 ``[batch, *input_shape]``."""
        return (noise(batch, self.input_shape, seed),)


def noise(batch: int, shape: InputShape, seed: int = 0) -> Tensor:
    """Standard normal float32 ``[batch, *shape]``, the same for the same seed."""
    return torch.randn(batch, *shape, generator=torch.Generator().manual_seed(seed))
