"""CIFAR-10 in its two published layouts: binary records, or the python batches.

Binary: ``cifar-10-batches-bin/data_batch_1..5.bin`` and ``test_batch.bin``, each record 1 label byte and 3072 pixel
bytes (red, green, blue planes of 32x32). Records are read by index, so memory holds only one batch. Python:
``cifar-10-batches-py/data_batch_1..5`` and ``test_batch``, pickled dicts of ``data`` and ``labels``.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fxpasses.errors import InputError
from fxpasses.formats.regular_files import require_regular

from .array_split import ArraySplit
from .data_source import Split

SHAPE = (3, 32, 32)
NUM_CLASSES = 10
PIXEL_BYTES = 3 * 32 * 32
RECORD_BYTES = 1 + PIXEL_BYTES
TRAINING = tuple(f"data_batch_{number}" for number in range(1, 6))
HELD_OUT = ("test_batch",)
FIX = "point to the folder that holds cifar-10-batches-bin or cifar-10-batches-py"


def cifar_splits(folder: Path, source: str) -> tuple[Split, Split]:
    """Return the training and the test split of a folder that holds either layout, or is the layout's own folder."""
    for place in (folder / "cifar-10-batches-bin", folder):
        if (place / "test_batch.bin").is_file():
            return _binary(place, TRAINING), _binary(place, HELD_OUT)
    for place in (folder / "cifar-10-batches-py", folder):
        if (place / "test_batch").is_file():
            return _pickled(place, TRAINING), _pickled(place, HELD_OUT)
    raise InputError(f"{source} is incomplete", why=f"neither test_batch.bin nor test_batch is under {folder}", fix=FIX)


@dataclass(frozen=True)
class CifarRecords:
    """Records of several binary files as one split."""

    files: tuple[Path, ...]

    @cached_property
    def _labels_of_files(self) -> list[Tensor]:
        return [torch.from_numpy(_records(file)[:, 0].astype(np.int64)) for file in self.files]

    @cached_property
    def labels(self) -> Tensor:
        return torch.cat(self._labels_of_files)

    def __len__(self) -> int:
        return len(self.labels)

    def inputs(self, indices: Tensor) -> Tensor:
        ends = torch.tensor([len(labels) for labels in self._labels_of_files]).cumsum(0)
        file_numbers = torch.searchsorted(ends, indices, right=True)
        pixels = torch.empty(len(indices), PIXEL_BYTES, dtype=torch.uint8)
        for number in set(file_numbers.tolist()):
            chosen = file_numbers == number
            rows = indices[chosen] - ends[number] + len(self._labels_of_files[number])
            pixels[chosen] = torch.from_numpy(_records(self.files[number])[rows.numpy(), 1:])
        return pixels.view(-1, *SHAPE)


def _records(file: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Records ``[N, 3073]`` of a file. It is mapped anew for each use: a lasting map would count as memory page by
    page.
    """
    return np.memmap(file, np.uint8, mode="r").reshape(-1, RECORD_BYTES)


def _binary(folder: Path, names: tuple[str, ...]) -> CifarRecords:
    files = tuple(folder / f"{name}.bin" for name in names)
    for file in files:
        if not file.is_file():
            raise InputError(f"cannot open {file}", why="there is no such file", fix=FIX)
        size = file.stat().st_size
        if not size or size % RECORD_BYTES:
            raise InputError(
                f"{file} is damaged",
                why=f"{size} bytes are no whole number of {RECORD_BYTES}-byte records",
                fix="fetch it again",
            )
    split = CifarRecords(files)
    _check_labels(split.labels, folder)
    return split


def _empty_array(_subtype: object, _shape: object, _type_code: object) -> np.ndarray[Any, Any]:
    """Empty array that pickle fills, as numpy's private ``_reconstruct`` makes it."""
    return np.empty(0, np.uint8)


DATA_NAMES: Mapping[tuple[str, str], object] = {
    ("numpy.core.multiarray", "_reconstruct"): _empty_array,
    ("numpy._core.multiarray", "_reconstruct"): _empty_array,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _DataOnlyUnpickler(pickle.Unpickler):
    """Builds numpy arrays and plain containers, and refuses every other name.

    A pickle may name any function and have it called. The published batches need only the names above to
    rebuild their array, so nothing else is looked up, and a crafted file is refused before it runs anything.
    """

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in DATA_NAMES:
            return DATA_NAMES[module, name]
        raise pickle.UnpicklingError(f"it refers to {module}.{name}, which is not data")


def _pickled(folder: Path, names: tuple[str, ...]) -> ArraySplit:
    batches = [_read_batch(folder / name) for name in names]
    images = torch.from_numpy(np.concatenate([data for data, _ in batches])).view(-1, *SHAPE)
    labels = torch.tensor([label for _, labels in batches for label in labels], dtype=torch.int64)
    _check_labels(labels, folder)
    return ArraySplit(images, labels)


def _read_batch(path: Path) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], list[int]]:
    require_regular(path, FIX)
    try:
        batch = _DataOnlyUnpickler(io.BytesIO(path.read_bytes()), encoding="bytes").load()
    except Exception as error:  # a damaged pickle can raise anything
        raise InputError(f"cannot read {path}", why=str(error) or type(error).__name__, fix="fetch it again") from error
    data, labels = (batch.get(b"data"), batch.get(b"labels")) if isinstance(batch, Mapping) else (None, None)
    if not isinstance(data, np.ndarray) or data.shape[1:] != (PIXEL_BYTES,) or data.dtype != np.uint8:
        raise InputError(f"{path} is no CIFAR-10 batch", why=f"it has no uint8 'data' of [N, {PIXEL_BYTES}]", fix=FIX)
    if not isinstance(labels, list) or len(labels) != len(data) or not all(type(x) is int for x in labels):
        raise InputError(f"{path} is no CIFAR-10 batch", why="its 'labels' do not go with its 'data'", fix=FIX)
    return data, labels


def _check_labels(labels: Tensor, folder: Path) -> None:
    wrong = labels[(labels < 0) | (labels >= NUM_CLASSES)]
    if len(wrong):
        raise InputError(
            f"{folder} is no CIFAR-10", why=f"it has the label {int(wrong[0])}, and there are 10 classes", fix=FIX
        )
