"""Frames of a driving game and the driver's actions: 96x96 RGB, four classes, separate tracks for testing.

Classes are 0 left, 1 right, 2 accelerate, 3 brake. Validation frames are those of the training file's last tracks:
frames of one track look alike, so a validation set drawn from all frames would contain the training tracks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fxpasses.errors import InputError
from fxpasses.models.model_input import UNIT_RANGE

LEFT, RIGHT, ACCELERATE, BRAKE = range(4)
CLASSES = 4
SIDE = 96
VALIDATION_TRACKS = 3
CROP = 90
ROTATION_DEGREES = 10.0
STREET_RGB = (155, 102, 60)
GREY_LOW, GREY_HIGH, GREY_SPREAD = 90, 125, 12
"""Range of the street's pixels: their three values are nearly equal and neither dark nor bright."""


@dataclass(frozen=True)
class Frames:
    """uint8 ``images`` ``[N, 3, 96, 96]`` and int64 ``labels`` ``[N]``."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, size: int = 50) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield batches in order, pixels 0 to 1; the last batch may be smaller."""
        parts = zip(torch.split(self.images, size), torch.split(self.labels, size), strict=True)
        return ((UNIT_RANGE(images), labels) for images, labels in parts)

    def every(self, step: int) -> Frames:
        """Return every ``step``-th frame."""
        return Frames(self.images[::step], self.labels[::step])


def read_driving(folder: Path) -> tuple[Frames, Frames, Frames]:
    """Training, validation and test frames of ``train.npz`` and ``test.npz``.

    Raises:
        InputError: a file is missing or has no frames with labels and tracks.
    """
    images, labels, tracks = _read(folder / "train.npz")
    later = torch.isin(tracks, tracks.unique()[-VALIDATION_TRACKS:])
    test_images, test_labels, _ = _read(folder / "test.npz")
    return (
        Frames(images[~later], labels[~later]),
        Frames(images[later], labels[later]),
        Frames(test_images, test_labels),
    )


def _read(path: Path) -> tuple[Tensor, Tensor, Tensor]:
    try:
        with np.load(path, allow_pickle=False) as file:
            images, labels, tracks = file["x"], file["y"], file["track"]
    except (OSError, ValueError, KeyError) as error:
        fix = "point to the folder of train.npz and test.npz, with x, y and track"
        raise InputError(f"cannot read {path}", why=str(error), fix=fix) from error
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    return pixels, torch.from_numpy(labels.astype(np.int64)), torch.from_numpy(tracks.astype(np.int64))


def mirrored(frames: Frames) -> Frames:
    """Swap left and right, in images and in labels."""
    swapped = torch.tensor([RIGHT, LEFT, ACCELERATE, BRAKE])
    return Frames(frames.images.flip(3), swapped[frames.labels])


def upside_down(frames: Frames) -> Frames:
    """Turn images upside down; labels stay."""
    return Frames(frames.images.flip(2), frames.labels)


def other_street(frames: Frames) -> Frames:
    """Give the grey street another colour."""
    low, high = frames.images.amin(1), frames.images.amax(1)
    street = (low >= GREY_LOW) & (high <= GREY_HIGH) & (high - low <= GREY_SPREAD)
    colour = torch.tensor(STREET_RGB, dtype=torch.uint8).view(1, 3, 1, 1)
    return Frames(torch.where(street.unsqueeze(1), colour, frames.images), frames.labels)


def augmented(inputs: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mirror images at random, with their labels, rotate by up to 10 degrees, and scale a crop of 90x90 to 96x96."""
    count = len(labels)
    flips = torch.rand(count, generator=generator) < 0.5
    swapped = torch.tensor([RIGHT, LEFT, ACCELERATE, BRAKE])
    angles = (torch.rand(count, generator=generator) * 2 - 1) * (ROTATION_DEGREES * torch.pi / 180)
    shifts = (torch.rand(count, 2, generator=generator) * 2 - 1) * (1 - CROP / SIDE)
    cos, sin, zoom = angles.cos(), angles.sin(), CROP / SIDE
    mirror = torch.where(flips, -1.0, 1.0)
    horizontal = torch.stack([mirror * cos * zoom, -sin * zoom, shifts[:, 0]], 1)
    vertical = torch.stack([mirror * sin * zoom, cos * zoom, shifts[:, 1]], 1)
    grid = F.affine_grid(torch.stack([horizontal, vertical], 1), list(inputs.shape), align_corners=False)
    moved = F.grid_sample(inputs, grid, padding_mode="border", align_corners=False)
    return moved, torch.where(flips, swapped[labels], labels)
