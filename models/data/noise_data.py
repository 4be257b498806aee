"""``random=3x224x224``: seeded normal noise without labels, to measure speed and agreement without data."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fxpasses.errors import InputError

from ..model_input import InputShape, checked_shape

TRAINING_IMAGES = 4096
HELD_OUT_IMAGES = 256
LONGEST_SIZE = 20
"""Largest number of digits of a size; Python refuses to read numbers of thousands of digits."""


@dataclass(frozen=True)
class NoiseSplit:
    """Image ``i`` is drawn from the seed ``first_seed + i``, so any image can be made alone."""

    shape: InputShape
    count: int
    first_seed: int

    labels = None

    def __len__(self) -> int:
        return self.count

    def inputs(self, indices: Tensor) -> Tensor:
        generator = torch.Generator()
        images = [
            torch.randn(self.shape, generator=generator.manual_seed(self.first_seed + index))
            for index in indices.tolist()
        ]
        return torch.stack(images)


def noise_splits(shape: InputShape) -> tuple[NoiseSplit, NoiseSplit]:
    """Return the training and the held-out split; no image is in both."""
    training = NoiseSplit(shape, TRAINING_IMAGES, first_seed=0)
    return training, NoiseSplit(shape, HELD_OUT_IMAGES, first_seed=TRAINING_IMAGES)


def parse_shape(text: str) -> InputShape:
    """Parse ``3x224x224`` to ``(3, 224, 224)``."""
    sizes = text.lower().split("x")
    if not all(size.isdecimal() and len(size) <= LONGEST_SIZE and int(size) > 0 for size in sizes):
        raise InputError(
            f"{text!r} is not a shape",
            why="a shape is positive whole numbers of at most 20 digits joined by x",
            fix="write for example random=3x224x224",
        )
    return checked_shape([int(size) for size in sizes], f"{text!r} is too large a shape")
