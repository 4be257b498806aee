"""Models of timm, if it is installed: architecture, input size and normalisation; no download."""

from __future__ import annotations

from functools import partial
from typing import Any

from fxpasses.errors import InputError

from ..blueprint import Blueprint, unknown_name
from ..model_input import Preprocessing


def timm_blueprint(name: str, image_size: int | None = None) -> Blueprint:
    """Return the blueprint of a timm model; :class:`InputError` if timm is missing or has no such model."""
    try:
        import timm
    except ImportError as error:
        raise InputError(
            f"cannot build timm/{name}", why="the package timm is not installed", fix="pip install 'fxpasses[timm]'"
        ) from error
    if not timm.is_model(name):
        raise unknown_name("timm model", name, timm.list_models())
    defaults: Any = timm.get_pretrained_cfg(name)
    channels, height, width = defaults.input_size
    if image_size and defaults.fixed_input_size and image_size != height:
        raise InputError(
            f"timm/{name} cannot take {image_size}x{image_size} images",
            why="its input size is fixed in its layers",
            fix=f"use its published size, {height}",
        )
    shape = (channels, image_size or height, image_size or width)
    build = partial(timm.create_model, name, pretrained=False)
    return Blueprint(build, shape, Preprocessing(tuple(defaults.mean), tuple(defaults.std)))
