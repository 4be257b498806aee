"""Losses and right answers of training steps, as numbers; those on a GPU are read together, so that no step waits."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...quantization.ranges.deferred import is_remote

AT_ONCE = 50
"""Largest number of steps whose results stay on a GPU before they are read."""


@dataclass(frozen=True)
class StepReading:
    """One step's number, counted from 1, its loss, and the right answers among its images."""

    step: int
    loss: float
    right: float
    images: int

    @property
    def accuracy(self) -> float:
        """In percent."""
        return 100 * self.right / self.images


class StepReadings:
    """Results of steps that have not been read yet.

    Attributes:
        last: the last reading; NaN before there is one.
    """

    def __init__(self) -> None:
        self.last = StepReading(0, float("nan"), float("nan"), 1)
        self._kept: list[tuple[int, Tensor, int]] = []

    def add(self, step: int, loss: Tensor, right: Tensor, images: int) -> None:
        """Keep the results of a step; ``loss`` and ``right`` are tensors of one value on the same device."""
        self._kept.append((step, torch.stack((loss.double(), right.double())), images))

    @property
    def are_due(self) -> bool:
        """Whether they are to be read: on the CPU at once; on a GPU after the first step, then from time to time."""
        if not self._kept:
            return False
        return not is_remote(self._kept[0][1]) or not self.last.step or len(self._kept) >= AT_ONCE

    def take(self) -> list[StepReading]:
        """Read all steps that are kept, in order."""
        if not self._kept:
            return []
        values = torch.stack([value for _, value, _ in self._kept]).tolist()
        pairs = zip(self._kept, values, strict=True)
        found = [StepReading(step, loss, right, images) for (step, _, images), (loss, right) in pairs]
        self._kept, self.last = [], found[-1]
        return found
