"""``coco=DIR``: images and boxes in the layout of COCO's data sets.

    DIR/annotations/instances_train2017.json   DIR/train2017/*.jpg      for calibration
    DIR/annotations/instances_val2017.json     DIR/val2017/*.jpg        for evaluation

The name after ``instances_`` is that of the images' folder, and begins with ``train`` or ``val``. Images are scaled to
the model's height and width, boxes with them. Labels are float32 ``[B, M, 5]``: class, left, top, right, bottom in
pixels of the scaled image; a row that pads has the class -1. Classes are numbered from 0 in the order of their category
ids. Boxes of crowds are left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fxpasses.errors import InputError
from fxpasses.formats.documents import read_json
from fxpasses.formats.regular_files import require_regular

from ..model_input import InputShape
from .image_folder import read_image, require_image_shape

FIX = "lay it out as COCO does: annotations/instances_val2017.json beside val2017/*.jpg, and the same for train"
NO_BOX = (-1.0, 0.0, 0.0, 0.0, 0.0)
Box = tuple[float, float, float, float, float]
"""Class of a box, and its left, top, right, bottom as shares of the image's width and height."""


@dataclass(frozen=True)
class CocoSplit:
    """Image files and the boxes in each."""

    files: tuple[Path, ...]
    boxes: tuple[tuple[Box, ...], ...]
    shape: InputShape

    labels = None

    def __len__(self) -> int:
        return len(self.files)

    def inputs(self, indices: Tensor) -> Tensor:
        return torch.stack([read_image(self.files[index], self.shape, crop=False) for index in indices.tolist()])

    def targets(self, indices: Tensor) -> Tensor:
        """Boxes float32 ``[B, M, 5]``; M is the largest number of boxes in one of these images, at least one."""
        found = [list(self.boxes[index]) for index in indices.tolist()]
        most = max(1, *map(len, found))
        _, height, width = self.shape
        scale = torch.tensor([1.0, width, height, width, height])
        rows = torch.tensor([boxes + [NO_BOX] * (most - len(boxes)) for boxes in found])
        return rows * scale


def coco_splits(folder: Path, shape: InputShape, source: str) -> tuple[CocoSplit, CocoSplit, int]:
    """Return the training split, the held-out split and the number of classes.

    Raises:
        InputError: a file or a folder is missing, or the annotations are not in COCO's format.
    """
    require_image_shape(shape, source)
    training, first = _split(folder, "train", shape, source)
    held_out, second = _split(folder, "val", shape, source)
    if first != second:
        why = f"that of train has {len(first)} categories, that of val {len(second)}, or others"
        raise InputError(f"{source}: its annotations differ", why=why, fix="write the same categories into both")
    return training, held_out, len(first)


def _split(folder: Path, part: str, shape: InputShape, source: str) -> tuple[CocoSplit, list[int]]:
    found = sorted((folder / "annotations").glob(f"instances_{part}*.json"))
    if len(found) != 1:
        why = "there is none" if not found else f"there are {len(found)}: {', '.join(path.name for path in found)}"
        raise InputError(f"{source} has no single annotations/instances_{part}*.json", why=why, fix=FIX)
    path = found[0]
    images = folder / path.stem.removeprefix("instances_")
    if not images.is_dir():
        raise InputError(f"{source} has no folder {images.name}", why=f"{path} is of the images in it", fix=FIX)
    content = read_json(path, "the annotations", FIX)
    categories = [_whole(entry, "id", path) for entry in _entries(content, "categories", path)]
    if not categories or len(set(categories)) != len(categories):
        raise InputError(f"{path} lists no categories", why="they need ids that differ", fix=FIX)
    classes = {category: number for number, category in enumerate(sorted(categories))}
    boxes = _boxes(content, classes, path)
    files = [images / _name(entry, path) for entry in _entries(content, "images", path)]
    if not files:
        raise InputError(f"{path} lists no images", why="there is none under 'images'", fix=FIX)
    for file in files:
        require_regular(file, f"put the image there, or take it out of {path}")
    return CocoSplit(tuple(files), tuple(map(tuple, boxes.values())), shape), sorted(categories)


def _boxes(content: object, classes: Mapping[int, int], path: Path) -> dict[int, list[Box]]:
    """Boxes by image, in the order of the images."""
    sizes = {
        _whole(entry, "id", path): (_whole(entry, "width", path), _whole(entry, "height", path))
        for entry in _entries(content, "images", path)
    }
    found: dict[int, list[Box]] = {image: [] for image in sizes}
    for entry in _entries(content, "annotations", path):
        image, category = _whole(entry, "image_id", path), _whole(entry, "category_id", path)
        if image not in sizes or category not in classes:
            what = f"image {image}" if image not in sizes else f"category {category}"
            raise InputError(f"{path}: an annotation of {what}", why="it is not listed in the file", fix="take it out")
        if not entry.get("iscrowd"):
            found[image].append((float(classes[category]), *_corners(entry, sizes[image], path)))
    return found


def _corners(entry: Mapping[str, Any], size: tuple[int, int], path: Path) -> tuple[float, float, float, float]:
    box = entry.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(_is_number(value) for value in box):
        why = f"of image {entry['image_id']} it is {box!r:.60}"
        raise InputError(f"{path}: a bbox is no box", why=why, fix="write [left, top, width, height] in pixels")
    left, top, width, height = (float(value) for value in box)
    if width < 0 or height < 0 or min(size) < 1:
        why = f"of image {entry['image_id']} it is {box} in an image of {size[0]}x{size[1]}"
        raise InputError(f"{path}: a bbox has no size", why=why, fix="write [left, top, width, height] in pixels")
    return left / size[0], top / size[1], (left + width) / size[0], (top + height) / size[1]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _entries(content: object, key: str, path: Path) -> list[Mapping[str, Any]]:
    found = content.get(key) if isinstance(content, Mapping) else None
    if not isinstance(found, list) or not all(isinstance(entry, Mapping) for entry in found):
        raise InputError(f"{path} is no COCO annotation", why=f"{key!r} is no list of entries", fix=FIX)
    return found


def _whole(entry: Mapping[str, Any], key: str, path: Path) -> int:
    value = entry.get(key)
    if type(value) is not int:
        raise InputError(f"{path}: {key} is {value!r:.60}", why="it is a whole number in COCO's files", fix=FIX)
    return value


def _name(entry: Mapping[str, Any], path: Path) -> str:
    name = entry.get("file_name")
    if not isinstance(name, str) or not name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise InputError(f"{path}: file_name is {name!r:.60}", why="it is no file in the folder of images", fix=FIX)
    return name
