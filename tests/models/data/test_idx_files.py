"""MNIST's file format, in small files written here."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import torch

from fxpasses.errors import InputError
from fxpasses.models.data.idx_files import idx_splits
from fxpasses.models.datasets import open_dataset
from fxpasses.models.model_input import ModelInput

MODEL = ModelInput((1, 28, 28))


def idx(*shape: int, values: bytes) -> bytes:
    return bytes((0, 0, 8, len(shape))) + b"".join(size.to_bytes(4, "big") for size in shape) + values


def write(folder: Path, prefix: str, labels: bytes, packed: bool) -> None:
    images = b"".join(bytes([label] * 28 * 28) for label in labels)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (
        (f"{prefix}-images-idx3-ubyte", idx(len(labels), 28, 28, values=images)),
        (f"{prefix}-labels-idx1-ubyte", idx(len(labels), values=labels)),
    ):
        path = folder / (name + (".gz" if packed else ""))
        path.write_bytes(gzip.compress(content) if packed else content)


@pytest.mark.parametrize(
    ("kind", "place", "packed"),
    [
        ("mnist", "MNIST/raw", True),
        ("mnist", "", False),
        ("fashion", "FashionMNIST/raw", True),
        ("mnist", "raw", False),
    ],
)
def test_every_layout_is_read(tmp_path: Path, kind: str, place: str, packed: bool) -> None:
    write(tmp_path / place, "train", bytes([7, 3, 9]), packed)
    write(tmp_path / place, "t10k", bytes([5, 1]), packed)
    data = open_dataset(f"{kind}={tmp_path}", MODEL)
    assert (data.calibration_images, data.evaluation_images, data.num_classes) == (3, 2, 10)
    images, labels = next(data.evaluation())
    assert labels is not None
    assert labels.tolist() == [5, 1]
    torch.testing.assert_close(images[:, 0, 13, 2], torch.tensor([5 / 255, 1 / 255]))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    write(tmp_path, "train", bytes([1]), packed=False)
    with pytest.raises(InputError, match=r"t10k-images-idx3-ubyte\[.gz\] is neither in"):
        idx_splits(tmp_path, "mnist=x")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(b"x" * 500, mtime=0)[:-9], "not a readable idx file"),
        (b"plain text", "not a readable idx file"),
        (gzip.compress(b"GIF89a", mtime=0), "does not begin like an idx file of 1 dimensions"),
        (gzip.compress(idx(9, values=b"12"), mtime=0), r"2 values for the shape \[9\]"),
        (gzip.compress(idx(0, values=b""), mtime=0), "is empty"),
    ],
)
def test_damaged_labels_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    write(tmp_path, "train", bytes([1]), packed=True)
    write(tmp_path, "t10k", bytes([1]), packed=True)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(content)
    with pytest.raises(InputError, match=f"(?s)train-labels-idx1-ubyte.gz.*{message}"):
        idx_splits(tmp_path, "mnist=x")


def test_images_that_do_not_go_with_the_labels_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "train", bytes([1, 2, 3]), packed=False)
    write(tmp_path, "t10k", bytes([1]), packed=False)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(2, values=bytes([1, 2])))
    training, _ = idx_splits(tmp_path, "mnist=x")
    with pytest.raises(InputError, match="does not go with train-labels-idx1-ubyte"):
        training.inputs(torch.tensor([0]))
