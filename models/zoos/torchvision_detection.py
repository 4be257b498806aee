"""Detectors of torchvision by name: architecture only, for images of one size; no download."""

from __future__ import annotations

from functools import partial

from torch import nn

from fxpasses.errors import InputError

from ..blueprint import Blueprint
from ..model_input import IMAGENET

FIXED_SIZES = {"ssd300_vgg16": 300, "ssdlite320_mobilenet_v3_large": 320}
"""Sizes of detectors that resize every image to one size."""
DEFAULT_SIZE, LARGEST_SIDE, STRIDE = 800, 1333, 32
"""Published lengths of the shorter and the longer side of images for the others, and the stride of feature maps."""


def detection_names() -> list[str]:
    """Names of all detectors that torchvision has."""
    from torchvision import models

    names: list[str] = models.list_models(module=models.detection)
    return names


def detection_blueprint(name: str, image_size: int | None = None) -> Blueprint:
    """Return the blueprint of a detector; its input is images of ``image_size`` pixels on each side.

    Raises:
        InputError: the detector takes another size.
    """
    from torchvision import models

    size = image_size or FIXED_SIZES.get(name, DEFAULT_SIZE)
    if name in FIXED_SIZES and size != FIXED_SIZES[name]:
        raise InputError(
            f"torchvision/{name} cannot take {size}x{size} images",
            why="it resizes every image to one size",
            fix=f"use its own size, {FIXED_SIZES[name]}",
        )
    if name not in FIXED_SIZES and size % STRIDE:
        below = max(STRIDE, size - size % STRIDE)
        raise InputError(
            f"torchvision/{name} cannot take {size}x{size} images",
            why=f"it pads them to multiples of {STRIDE}",
            fix=f"use {below} or {below + STRIDE}",
        )
    sizes = {} if name in FIXED_SIZES else {"min_size": size, "max_size": max(size, LARGEST_SIDE)}
    build: partial[nn.Module] = partial(models.get_model, name, weights=None, weights_backbone=None, **sizes)
    return Blueprint(build, (3, size, size), IMAGENET)
