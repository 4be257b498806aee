"""``segmentation=DIR``: images, and masks with the class of every pixel.

    DIR/train/images/a.jpg   DIR/train/masks/a.png      for calibration
    DIR/val/images/b.jpg     DIR/val/masks/b.png        for evaluation

A mask has its image's name and size, and one channel of 8 bits (grey or a palette), which holds the index of each
pixel's class; 255 is a pixel of no class. Both are scaled to the model's height and width, images bilinearly, masks to
the nearest pixel. Labels are int64 ``[B, H, W]``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fxpasses.errors import InputError
from fxpasses.formats.regular_files import require_regular

from ..model_input import InputShape
from .image_fitting import READING_ERRORS
from .image_folder import ENDINGS, read_image, require_image_shape

MASK_MODES = ("L", "P", "1")
LAYOUT = "lay it out as train/images/a.jpg, train/masks/a.png, val/images/b.jpg and val/masks/b.png"


@dataclass(frozen=True)
class SegmentationSplit:
    """Image files and their masks; files are decoded when needed."""

    images: tuple[Path, ...]
    masks: tuple[Path, ...]
    shape: InputShape

    labels = None

    def __len__(self) -> int:
        return len(self.images)

    def inputs(self, indices: Tensor) -> Tensor:
        return torch.stack([read_image(self.images[index], self.shape, crop=False) for index in indices.tolist()])

    def targets(self, indices: Tensor) -> Tensor:
        """Masks int64 ``[B, H, W]``."""
        pairs = [(self.masks[index], self.images[index]) for index in indices.tolist()]
        return torch.stack([read_mask(mask, image, self.shape) for mask, image in pairs])


def segmentation_splits(folder: Path, shape: InputShape, source: str) -> tuple[SegmentationSplit, SegmentationSplit]:
    """Return the training split and the held-out split.

    Raises:
        InputError: a folder, an image or a mask is missing, or the model takes no images.
    """
    require_image_shape(shape, source)
    return _split(folder / "train", shape, source), _split(folder / "val", shape, source)


def _split(folder: Path, shape: InputShape, source: str) -> SegmentationSplit:
    for part in (folder / "images", folder / "masks"):
        if not part.is_dir():
            raise InputError(f"{source} has no folder {part}", why="it does not exist", fix=LAYOUT)
    images = tuple(sorted(path for path in (folder / "images").iterdir() if path.suffix.lower() in ENDINGS))
    if not images:
        raise InputError(f"{folder / 'images'} has no images", why="no image file is in it", fix=LAYOUT)
    masks = tuple(folder / "masks" / f"{image.stem}.png" for image in images)
    for image, mask in zip(images, masks, strict=True):
        if not mask.exists():
            raise InputError(f"{image} has no mask", why=f"there is no {mask}", fix=LAYOUT)
        for path in (image, mask):
            require_regular(path, "remove it, or put an image in its place")
    return SegmentationSplit(images, masks, shape)


def read_mask(path: Path, image: Path, shape: InputShape) -> Tensor:
    """Read a mask as int64 ``[H, W]`` of the given shape's height and width.

    Raises:
        InputError: the file is damaged, is not one channel of 8 bits, or has another size than its image.
    """
    from PIL import Image

    try:
        with Image.open(path) as mask, Image.open(image) as twin:
            if mask.mode not in MASK_MODES:
                fix = "save it with one channel of 8 bits, the index of each pixel's class"
                raise InputError(f"{path} is no mask", why=f"its mode is {mask.mode}, not a grey one", fix=fix)
            if mask.size != twin.size:
                why = f"it is {_size_text(mask.size)}, its image {image.name} {_size_text(twin.size)}"
                raise InputError(f"{path} does not fit its image", why=why, fix="save both in one size")
            scaled = mask.resize((shape[2], shape[1]), Image.Resampling.NEAREST)
            return torch.from_numpy(np.array(scaled, dtype=np.int64))
    except (*READING_ERRORS, Image.DecompressionBombError) as error:
        why = str(error) or type(error).__name__
        raise InputError(f"cannot read the mask {path}", why=why, fix="replace or remove this file") from error


def _size_text(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
