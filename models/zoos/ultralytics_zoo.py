"""Models of Ultralytics, if the caller has installed that package: architectures alone, no download.

The package is under the AGPL-3.0, which asks more of a distributor of programs with it than this project's license
does. It is no dependency, and nothing here is imported unless a model of it is named. Models are built from the
package's files of settings (``yolov8n``, ``yolo11n``, ``yolov8n-seg`` ...) with random weights. Their output is that of
the package's export: one tensor ``[B, 4 + classes, boxes]`` for detection, as ``--metric map`` reads it. Pixels are
divided by 255.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from fxpasses.errors import InputError

from ..blueprint import Blueprint
from ..model_input import UNIT_RANGE

IMAGE_SIZE = 640
STRIDE = 32


def ultralytics_blueprint(name: str, image_size: int | None = None) -> Blueprint:
    """Return the blueprint of an Ultralytics model.

    Raises:
        InputError: ultralytics is missing, has no such model, or it takes no images of that size.
    """
    size = image_size or IMAGE_SIZE
    if size % STRIDE:
        why = f"its features are {STRIDE} pixels apart"
        raise InputError(f"ultralytics/{name} of {size} pixels", why=why, fix=f"take a multiple of {STRIDE}")
    return Blueprint(lambda: _built(name, size), (3, size, size), UNIT_RANGE)


def _built(name: str, size: int) -> nn.Module:
    try:
        from ultralytics import YOLO
    except ImportError as error:
        raise InputError(
            f"cannot build ultralytics/{name}",
            why="the package ultralytics is not installed",
            fix="pip install ultralytics, if its license, AGPL-3.0, suits you",
        ) from error
    try:
        model: Any = YOLO(f"{name}.yaml", verbose=False).model
    except FileNotFoundError as error:
        raise InputError(
            f"unknown ultralytics model {name!r}",
            why="the package has no settings of that name",
            fix="write for example ultralytics/yolov8n or ultralytics/yolo11n",
        ) from error
    module: nn.Module = model.eval()
    heads = [part for part in module.modules() if hasattr(part, "export")]
    for head in heads:  # in export mode heads give one tensor, else the inputs of losses, too
        head.export, head.format = True, "onnx"  # type: ignore[assignment]  # modules have any attribute
    with torch.no_grad():
        module(torch.zeros(1, 3, size, size))  # makes the anchors, which follow from the size of the images
    for head in heads:
        head.shape = _AnyShape()  # type: ignore[assignment]  # stands for a shape
    return module


class _AnyShape:
    """Shape that equals every other: anchors are made again for each other shape, and a batch size is part of the
    shape.
    """

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]  # an object equal to all others has no hash
