"""Small data sets in the forms that are read, each with the defect that a test asks for."""

from __future__ import annotations

import gzip
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fxpasses.models.datasets import open_dataset
from fxpasses.models.model_input import ModelInput

PHOTO, DIGIT, CIFAR, ROW = ModelInput((3, 8, 8)), ModelInput((1, 28, 28)), ModelInput((3, 32, 32)), ModelInput((2,))


def read(spec: str, model: ModelInput = PHOTO) -> list[Any]:
    """Everything that a data set gives."""
    source = open_dataset(spec, model)
    return [*source.calibration(source.calibration_images), *source.evaluation()]


def photo(path: Path, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size).save(path)
    return path


def classes(folder: Path, *parts: str, names: tuple[str, ...] = ("cat", "dog")) -> list[Any]:
    """Images of two classes in these parts, opened."""
    for part in parts:
        for name in names:
            photo(folder / part / name / "1.png")
    return read(f"images={folder}")


def labels(folder: Path, content: object) -> list[Any]:
    (folder / "labels.json").write_text(json.dumps(content))
    return classes(folder, "train", "val")


def masks(folder: Path, *, mode: str = "L", size: tuple[int, int] = (8, 8), names: str = "a") -> list[Any]:
    """Images and masks for two parts, opened; masks are of the images named."""
    for part in ("train", "val"):
        photo(folder / part / "images" / "a.png")
        (folder / part / "masks").mkdir(exist_ok=True)
        for name in names:
            photo(folder / part / "masks" / f"{name}.png", size, mode)
    return read(f"segmentation={folder}")


def table(folder: Path, *lines: str) -> list[Any]:
    (folder / "t.csv").write_text("\n".join(lines))
    return read(f"csv={folder / 't.csv'}", ROW)


def boxes(folder: Path, change: Callable[[dict[str, Any]], Any] = lambda _: None, val: Any = None) -> list[Any]:
    """COCO's files with a change to the annotations of the training part, opened."""
    for part in ("train", "val"):
        photo(folder / f"{part}2017" / "a.png")
        content: dict[str, Any] = {
            "images": [{"id": 1, "file_name": "a.png", "width": 8, "height": 8}],
            "annotations": [{"image_id": 1, "category_id": 3, "bbox": [1, 2, 3, 4]}],
            "categories": [{"id": 3, "name": "cat"}],
        }
        (change if part == "train" else val or change)(content)
        (folder / "annotations").mkdir(exist_ok=True)
        (folder / "annotations" / f"instances_{part}2017.json").write_text(json.dumps(content))
    return read(f"coco={folder}")


def digits(folder: Path, *, images: int = 2, count: int = 2, cut: int = 0, parts: str = "train t10k") -> list[Any]:
    """MNIST's four files, opened."""
    for part in parts.split():
        head = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (images, 28, 28))
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(head + bytes(images * 28 * 28 - cut)))
        names = b"\0\0\x08\x01" + count.to_bytes(4, "big") + bytes(count)
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(names))
    return read(f"mnist={folder}", DIGIT)


PARTS = (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch")


def records(folder: Path, label: int = 1, cut: int = 0, parts: tuple[str, ...] = PARTS) -> list[Any]:
    """CIFAR-10's binary files, opened."""
    for name in parts:
        (folder / f"{name}.bin").write_bytes(bytes([label, *[0] * 3072])[cut:])
    return read(f"cifar10={folder}", CIFAR)


def batches(folder: Path, **changes: Any) -> list[Any]:
    """CIFAR-10's pickled files, opened; ``raw`` is written as it is."""
    content = {b"data": np.zeros((1, 3072), np.uint8), b"labels": [1]}
    content |= {key.encode(): value for key, value in changes.items()}
    for name in PARTS:
        (folder / name).write_bytes(changes.get("raw") or pickle.dumps(content, protocol=3))
    return read(f"cifar10={folder}", CIFAR)


def sentences(folder: Path, text: str = "good\t1\n", model: ModelInput | None = None) -> list[Any]:
    for name in ("train", "dev"):
        (folder / f"{name}.tsv").write_text(text)
    return read(f"sst2={folder}", model or ModelInput((4,)))


def removed(folder: Path, name: str) -> Path:
    (folder / name).unlink()
    return folder


def with_folders(folder: Path, *names: str) -> Path:
    """The folder, with empty folders in it."""
    for name in names:
        (folder / name).mkdir(parents=True)
    return folder
