"""Damaged folders of data: images, idx files, CIFAR batches and tables of sentences."""

from __future__ import annotations

import gzip
import os
import pickle
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
from mutations import damaged
from PIL import Image

Make = Callable[[Path], str]
"""Function that writes good data into a folder and returns its ``--data``."""


def images(folder: Path) -> str:
    for part in ("train", "val"):
        for index, name in enumerate(("cat", "dog")):
            (folder / part / name).mkdir(parents=True)
            Image.new("RGB", (9 + index, 8), (index * 90, 3, 7)).save(folder / part / name / "0.png")
            Image.new("RGB", (8, 8), (9, 3, 7)).save(folder / part / name / "1.jpg")
    (folder / "labels.json").write_text('{"classes": [["cat", "a"], ["dog", "b"]]}')
    return f"images={folder}"


def idx(folder: Path) -> str:
    for prefix, ending in (("train", ""), ("t10k", ".gz")):
        for kind, content in (
            ("images-idx3", b"\0\0\x08\3" + np.array([4, 28, 28], ">i4").tobytes() + bytes(4 * 784)),
            ("labels-idx1", b"\0\0\x08\1" + np.array([4], ">i4").tobytes() + bytes(range(4))),
        ):
            data = gzip.compress(content, mtime=0) if ending else content
            (folder / f"{prefix}-{kind}-ubyte{ending}").write_bytes(data)
    return f"mnist={folder}"


def cifar(folder: Path) -> str:
    for name in (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"):
        (folder / f"{name}.bin").write_bytes((bytes([3]) + bytes(3072)) * 2)
    return f"cifar10={folder}"


def pickled_cifar(folder: Path) -> str:
    for name in (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"):
        content = {b"data": np.zeros((2, 3072), np.uint8), b"labels": [3, 4]}
        (folder / name).write_bytes(pickle.dumps(content, protocol=4))
    return f"cifar10={folder}"


def sentences(folder: Path) -> str:
    for name in ("train.tsv", "dev.tsv"):
        (folder / name).write_text("good film\t1\nbad film\t0\n")
    return f"sst2={folder}"


SETS: dict[str, tuple[Make, str]] = {
    "images": (images, "cifar_resnet20"),
    "idx": (idx, "lenet"),
    "cifar": (cifar, "cifar_resnet20"),
    "pickled cifar": (pickled_cifar, "cifar_resnet20"),
    "sentences": (sentences, "text_bag"),
}
"""Data sets, each with a model that takes it."""


def harm(folder: Path, chance: random.Random) -> str:
    """Change one thing in one file, and return a description of it."""
    path = chance.choice(sorted(path for path in folder.rglob("*") if path.is_file()))
    how = chance.choice(("damage", "damage", "damage", "damage", "empty", "remove", "folder", "pipe", "loop", "device"))
    content = path.read_bytes()
    path.unlink()
    if how == "damage":
        path.write_bytes(damaged(content, chance))
    elif how == "empty":
        path.touch()
    elif how == "folder":
        path.mkdir()
    elif how == "pipe":
        os.mkfifo(path)
    elif how == "loop":
        path.symlink_to(path)
    elif how == "device":
        path.symlink_to("/dev/zero")
    return f"{path.name}: {how}"
