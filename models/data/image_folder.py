"""``images=DIR``: an ImageFolder with ``train/`` for calibration and ``val/`` for evaluation.

Each class is a folder of images. Its index comes from a labels file, ``{"classes": [[folder, name], ...]}`` in
index order, else from the alphabetical order of all class folders. An image of the model's size is fed as it is;
any other is scaled to 256/224 of that size on its shorter side and its centre cut out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fxpasses.errors import InputError
from fxpasses.formats.documents import checked, read_json
from fxpasses.formats.regular_files import require_regular

from ..model_input import InputShape, shape_text
from .image_fitting import MODES, READING_ERRORS, fitted

ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".gif"})
LABELS_FILE = "labels.json"


@dataclass(frozen=True)
class ImageFolderSplit:
    """Image files and their classes; files are decoded when needed."""

    files: tuple[Path, ...]
    labels: Tensor
    shape: InputShape

    def __len__(self) -> int:
        return len(self.files)

    def inputs(self, indices: Tensor) -> Tensor:
        return torch.stack([read_image(self.files[index], self.shape) for index in indices.tolist()])


def require_image_shape(shape: InputShape, source: str) -> None:
    """Raise InputError for a model that takes no images of 1 or 3 channels."""
    if len(shape) != 3 or shape[0] not in MODES:
        raise InputError(
            f"{source} does not fit the model",
            why=f"images have 1 or 3 channels, the model takes {shape_text(shape)}",
            fix="choose a model for images",
        )


def image_folder_splits(
    folder: Path, shape: InputShape, source: str, labels_file: Path | None = None
) -> tuple[ImageFolderSplit, ImageFolderSplit, int]:
    """Return the training split, the held-out split and the number of classes."""
    require_image_shape(shape, source)
    for part in ("train", "val"):
        if not (folder / part).is_dir():
            raise InputError(
                f"{source} has no folder {part!r}",
                why=f"{folder / part} does not exist",
                fix="lay the images out as train/CLASS/*.jpg and val/CLASS/*.jpg",
            )
    names = {path.name for part in ("train", "val") for path in (folder / part).iterdir() if path.is_dir()}
    index_of = _class_indices(folder, names, labels_file)
    training = _split(folder / "train", index_of, shape)
    return training, _split(folder / "val", index_of, shape), len(index_of)


def _class_indices(folder: Path, names: set[str], labels_file: Path | None) -> dict[str, int]:
    path = labels_file or folder / LABELS_FILE
    if labels_file is None and not path.is_file():
        return {name: index for index, name in enumerate(sorted(names))}
    classes = _read_classes(path)
    index_of = {name: index for index, name in enumerate(classes)}
    unknown = sorted(names - index_of.keys())
    if unknown:
        raise InputError(
            f"{path} does not know the class {unknown[0]!r}",
            why=f"{len(unknown)} of {len(names)} class folders are not in it",
            fix="add them to its classes, or remove these folders",
        )
    return index_of


def _read_classes(path: Path) -> list[str]:
    """Folder names in index order."""
    fix = 'write {"classes": [["folder", "name"], ...]} in index order'
    from fxpasses.formats.labels import Labels

    content = read_json(path, "the labels", fix)
    classes = content.get("classes") if isinstance(content, Mapping) else content
    if not isinstance(classes, list) or not classes:
        raise InputError(f"{path} lists no classes", why="there is no list under 'classes'", fix=fix)
    checked(Labels, content, path, fix)
    names = [entry[0] if isinstance(entry, list) else entry for entry in classes]
    if len(set(names)) != len(names):
        raise InputError(f"{path} lists no classes", why="its entries are not distinct folder names", fix=fix)
    return names


def _split(folder: Path, index_of: Mapping[str, int], shape: InputShape) -> ImageFolderSplit:
    files: list[Path] = []
    labels: list[int] = []
    for class_folder in sorted(path for path in folder.iterdir() if path.is_dir()):
        images = sorted(path for path in class_folder.iterdir() if path.suffix.lower() in ENDINGS)
        for image in images:
            require_regular(image, "remove it, or put an image in its place")
        files += images
        labels += [index_of[class_folder.name]] * len(images)
    if not files:
        raise InputError(
            f"{folder} has no images",
            why="no class folder in it holds an image file",
            fix=f"put images into {folder / 'CLASS'}",
        )
    return ImageFolderSplit(tuple(files), torch.tensor(labels, dtype=torch.int64), shape)


def read_image(path: Path, shape: InputShape, *, crop: bool = True) -> Tensor:
    """Read an image as uint8 ``[C, H, W]`` of the given shape: its centre, or without ``crop`` all of it, scaled.

    Raises:
        InputError: the file is damaged.
    """
    from PIL import Image

    channels, height, width = shape
    try:
        with Image.open(path) as opened:
            image = opened.convert(MODES[channels])
            if crop:
                image = fitted(image, height, width)
            elif image.size != (width, height):
                image = image.resize((width, height), Image.Resampling.BILINEAR)
    except (*READING_ERRORS, Image.DecompressionBombError) as error:
        raise InputError(
            f"cannot read the image {path}", why=str(error) or type(error).__name__, fix="replace or remove this file"
        ) from error
    pixels = torch.from_numpy(np.array(image, dtype=np.uint8))
    return pixels.unsqueeze(0) if channels == 1 else pixels.permute(2, 0, 1).contiguous()
