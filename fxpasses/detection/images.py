"""Images as a detector of torchvision takes them, and batches of them for calibration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fxpasses.errors import InputError

from .kinds import Model

Images = Any
"""A list of tensors ``[C, H, W]`` with values from 0 to 1, or a tensor ``[B, C, H, W]``."""


@dataclass(frozen=True)
class Prepared:
    """Images after the detector's own transform.

    Attributes:
        batch: torchvision's ``ImageList``: the normalised, resized and padded tensor, and sizes without padding.
        originals: height and width of each image as given.
    """

    batch: Any
    originals: list[tuple[int, int]]


def prepared(model: Model, images: Images) -> Prepared:
    """Normalise, resize and pad images by the detector's own transform.

    Raises:
        InputError: there is no image, or something that is no image.
    """
    checked = checked_images(images)
    batch, _ = model.transform(checked)
    return Prepared(batch, [(int(image.shape[-2]), int(image.shape[-1])) for image in checked])


def checked_images(images: Images) -> list[Tensor]:
    """The images as a list.

    Raises:
        InputError: there is no image, or something that is no image.
    """
    if isinstance(images, Tensor) and images.dim() == 3:
        raise InputError(
            f"images of shape {list(images.shape)}", why="that is one image, not several", fix="give a list: [image]"
        )
    found = list(images) if isinstance(images, (Tensor, list, tuple)) else [images]
    if not found:
        raise InputError("an empty list of images", why="there is nothing to detect in", fix="give at least one image")
    for number, image in enumerate(found):
        if not isinstance(image, Tensor) or image.dim() != 3 or not image.is_floating_point():
            told = type(image).__name__
            if isinstance(image, Tensor):
                told = f"{str(image.dtype).removeprefix('torch.')} {list(image.shape)}"
            raise InputError(
                f"image {number} is a {told}",
                why="a detector takes float tensors [C, H, W] with values from 0 to 1",
                fix="torchvision.transforms.functional.to_tensor(picture) makes one",
            )
    return found


def image_batches(batches: Iterable[Any]) -> Iterator[list[Tensor]]:
    """The images of each batch; labels or targets beside them are left out."""
    for batch in batches:
        has_targets = isinstance(batch, (tuple, list)) and len(batch) == 2 and _are_several(batch[0])
        yield checked_images(batch[0] if has_targets else batch)


def _are_several(given: Any) -> bool:
    """Whether this is several images, not one."""
    return isinstance(given, (tuple, list)) or (isinstance(given, Tensor) and given.dim() == 4)


def noise(size: tuple[int, int], channels: int = 3, count: int = 2, seed: int = 0) -> Tensor:
    """Random images ``[count, channels, H, W]`` with values from 0 to 1."""
    return torch.rand(count, channels, *size, generator=torch.Generator().manual_seed(seed))
