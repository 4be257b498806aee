"""Description of a model's input: the shape of one input, and the preprocessing of pixels.

``value = (pixel / 255 - mean) / std`` per channel, in float32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from fxpasses.errors import InputError

InputShape = tuple[int, ...]


def without_dim(shape: InputShape, dim: int) -> InputShape:
    """A shape without the batch, which is dimension ``dim`` of it."""
    return (*shape[:dim], *shape[dim + 1 :])


def in_front(x: Tensor, dim: int | None) -> Tensor:
    """A tensor with its samples along dimension 0 instead of ``dim``."""
    return x.movedim(dim, 0) if dim and x.dim() > dim else x


def placed_in(x: Tensor, dim: int) -> Tensor:
    """A tensor with its samples along ``dim`` instead of dimension 0, in memory in that order."""
    return x.movedim(0, dim).contiguous() if dim else x


@dataclass(frozen=True)
class Preprocessing:
    """Per-channel normalisation of pixels scaled to 0..1; one entry stands for all channels."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or not self.mean:
            raise ValueError(f"mean and std need the same number of channels, got {self.mean} and {self.std}")
        if min(self.std) <= 0:
            raise ValueError(f"std must be positive, got {self.std}")

    def __call__(self, pixels: Tensor) -> Tensor:
        """Convert uint8 ``[B, C, H, W]`` to float32 ``[B, C, H, W]``."""
        mean = torch.tensor(self.mean, dtype=torch.float32).view(-1, 1, 1)
        std = torch.tensor(self.std, dtype=torch.float32).view(-1, 1, 1)
        return pixels.to(torch.float32).div_(255).sub_(mean).div_(std)


IMAGENET = Preprocessing(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
UNIT_RANGE = Preprocessing(mean=(0.0,), std=(1.0,))


class TakesInput(Protocol):
    """Anything that describes a model's input: a loaded model, or a :class:`ModelInput` alone."""

    @property
    def input_shape(self) -> InputShape: ...

    @property
    def preprocessing(self) -> Preprocessing: ...


@dataclass(frozen=True)
class ModelInput:
    """Shape of one input without the batch (``(C, H, W)`` for images) and its preprocessing.

    A model of several inputs has ``further_shapes``, and ``input_names`` if its batches are dicts; ``batch_dims`` are
    the dimensions of the batch, if they are not all 0.
    """

    input_shape: InputShape
    preprocessing: Preprocessing = UNIT_RANGE
    further_shapes: tuple[InputShape, ...] = ()
    input_names: tuple[str, ...] = ()
    batch_dims: tuple[int, ...] = ()


MOST_VALUES = 1 << 31
"""Largest number of values in one input: eight gigabytes of float32."""


def checked_shape(shape: object, what: str) -> InputShape:
    """Check a shape from outside and return it as a tuple; InputError, which begins with ``what``,
    for anything else.
    """
    sizes = tuple(shape) if isinstance(shape, (tuple, list)) else ()
    if not sizes or not all(type(size) is int and size > 0 for size in sizes):
        raise InputError(
            what, why="a shape is positive whole numbers", fix="return (module, (C, H, W)), the shape without the batch"
        )
    if math.prod(sizes) > MOST_VALUES:
        raise InputError(
            what, why=f"that is {math.prod(sizes)} values, more than {MOST_VALUES}", fix="use smaller inputs"
        )
    return sizes


def shape_text(shape: InputShape) -> str:
    """A shape as text: ``3x224x224``."""
    return "x".join(str(size) for size in shape)
