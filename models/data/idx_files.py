"""Idx files of MNIST and Fashion-MNIST, plain or gzipped, in torchvision's folder layout.

An idx file is two zero bytes, a type (8: unsigned byte), the number of dimensions, each dimension as a big-endian
int32, then the values. Looked for in DIR, DIR/raw, DIR/MNIST/raw and DIR/FashionMNIST/raw.
"""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fxpasses.errors import InputError

SHAPE = (1, 28, 28)
NUM_CLASSES = 10
FOLDERS = ("", "raw", "MNIST/raw", "FashionMNIST/raw")
UNSIGNED_BYTE = 8


@dataclass(frozen=True)
class IdxSplit:
    """One pair of idx files, read when first used."""

    images_file: Path
    labels_file: Path

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def labels(self) -> Tensor:
        return _read(self.labels_file, dimensions=1).to(torch.int64)

    @cached_property
    def _images(self) -> Tensor:
        images = _read(self.images_file, dimensions=3)
        if images.shape[1:] != SHAPE[1:] or len(images) != len(self.labels):
            raise InputError(
                f"{self.images_file} does not go with {self.labels_file.name}",
                why=f"it holds {list(images.shape)} pixels for {len(self.labels)} labels of 28x28 images",
                fix="fetch the four files again",
            )
        return images.unsqueeze(1)

    def inputs(self, indices: Tensor) -> Tensor:
        return self._images[indices]


def idx_splits(folder: Path, source: str) -> tuple[IdxSplit, IdxSplit]:
    """Return the training and the test split of a folder; labels are read at once, pixels when needed."""
    splits = []
    for prefix in ("train", "t10k"):
        images = _find(folder, f"{prefix}-images-idx3-ubyte", source)
        labels = _find(folder, f"{prefix}-labels-idx1-ubyte", source)
        split = IdxSplit(images, labels)
        if not len(split):
            raise InputError(f"{labels} is empty", why="it holds no labels", fix="fetch the four files again")
        splits.append(split)
    return splits[0], splits[1]


def _find(folder: Path, name: str, source: str) -> Path:
    candidates = [folder / place / (name + ending) for place in FOLDERS for ending in ("", ".gz")]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise InputError(
        f"{source} is incomplete",
        why=f"{name}[.gz] is neither in {folder} nor in its MNIST/raw",
        fix="point to the folder that holds the four idx files",
    )


def _read(path: Path, dimensions: int) -> Tensor:
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise _corrupt(path, str(error)) from error
    header = 4 + 4 * dimensions
    if len(content) < header or content[:4] != bytes((0, 0, UNSIGNED_BYTE, dimensions)):
        raise _corrupt(path, f"it does not begin like an idx file of {dimensions} dimensions")
    shape = tuple(int(size) for size in np.frombuffer(content, ">i4", dimensions, offset=4))
    values = np.frombuffer(content, np.uint8, offset=header)
    if len(values) != math.prod(shape):
        raise _corrupt(path, f"{len(values)} values for the shape {list(shape)}")
    return torch.from_numpy(values.copy()).view(shape)


def _corrupt(path: Path, why: str) -> InputError:
    return InputError(f"{path} is not a readable idx file", why=why, fix="fetch it again")
