"""Models of torchvision: architecture, published input size and normalisation; no download."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol, cast

from torch import nn

from fxpasses.errors import InputError

from ..blueprint import Blueprint, unknown_name
from ..model_input import IMAGENET, Preprocessing
from .torchvision_detection import detection_blueprint, detection_names

# The layers of these models have fixed sizes; torchvision has a keyword for each.
IMAGE_SIZE_ARGUMENT: Mapping[str, Callable[[int], dict[str, object]]] = {
    "vit": lambda size: {"image_size": size},
    "maxvit": lambda size: {"input_size": (size, size)},
}
MAXVIT_MULTIPLE = 224  # windows of 7 at a stride of 32
SWIN_SMALLEST = 32  # it pads to whole windows, so the published 224 is no limit
DEFAULT_SIZE = 224


class _Weights(Protocol):
    """One entry of torchvision's weight enums, of which only the description is read."""

    @property
    def meta(self) -> dict[str, Any]: ...

    @property
    def transforms(self) -> Callable[[], Any]: ...


def torchvision_names() -> list[str]:
    """Names of all classification models that torchvision has."""
    from torchvision import models

    names: list[str] = models.list_models(module=models)
    return names


def torchvision_blueprint(name: str, image_size: int | None = None) -> Blueprint:
    """Return the blueprint of a torchvision model; :class:`InputError` for an unknown name or an image too small for
    it.
    """
    from torchvision import models

    if name in detection_names():
        return detection_blueprint(name, image_size)
    names = torchvision_names()
    if name not in names:
        raise unknown_name("torchvision classifier", name, names)
    published, smallest, preprocessing = _published_input(name)
    size = image_size or published
    problem = _why_not_size(name, size, smallest)
    if problem:
        raise InputError(
            f"torchvision/{name} cannot take {size}x{size} images",
            why=problem,
            fix=f"use its published size, {published}",
        )
    build: Callable[[], nn.Module] = partial(models.get_model, name, weights=None, **_arguments(name, size))
    return Blueprint(build, (3, size, size), preprocessing)


def _why_not_size(name: str, size: int, smallest: int) -> str | None:
    family = name.partition("_")[0]
    if family in ("vit", "maxvit"):
        multiple = MAXVIT_MULTIPLE if family == "maxvit" else int(name.rpartition("_")[2])
        return f"its size must be a multiple of {multiple}" if size % multiple or size < multiple else None
    at_least = SWIN_SMALLEST if family == "swin" else smallest
    return f"it needs at least {at_least}x{at_least}" if size < at_least else None


def _arguments(name: str, size: int) -> dict[str, object]:
    family = name.partition("_")[0]
    arguments = IMAGE_SIZE_ARGUMENT[family](size) if family in IMAGE_SIZE_ARGUMENT else {}
    if name in ("inception_v3", "googlenet"):
        # init_weights: torchvision warns about its default, a slow truncated normal, when it is left open.
        arguments |= {"transform_input": False, "init_weights": False}
    return arguments


def _published_input(name: str) -> tuple[int, int, Preprocessing]:
    """Image size, smallest image size and normalisation of the first published weights."""
    from torchvision import models

    entries = [cast("_Weights", entry) for entry in models.get_model_weights(name)]
    if not entries:
        return DEFAULT_SIZE, 1, IMAGENET
    # Version 1 has the architecture's own size; fine-tuned weights of some models are for larger images.
    presets = [entry.transforms() for entry in entries]
    preset = min(presets, key=lambda preset: int(preset.crop_size[0]))
    smallest = min(int(entry.meta["min_size"][0]) for entry in entries)
    return int(preset.crop_size[0]), smallest, Preprocessing(tuple(preset.mean), tuple(preset.std))
