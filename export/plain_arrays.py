"""Arrays of numbers in ``.npz`` files. Reading one trusts nothing: it is not unpickled, and only numbers are accepted.

numpy reads the header of each array as a Python literal, with a tokenizer, a decompressor and a zip reader; each of
them raises its own exceptions for a damaged file.
"""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fxpasses.errors import InputError
from fxpasses.formats.regular_files import why_not_regular

from .files import atomic_write

_DAMAGED = (
    *(OSError, ValueError, EOFError, KeyError, TypeError, IndexError, OverflowError, MemoryError, SyntaxError),
    *(RuntimeError, zipfile.BadZipFile, zlib.error, tokenize.TokenError, UnicodeError),
)
_NUMBERS = "biuf"
"""Accepted kinds of numpy: booleans, integers and floats."""


def read_arrays(path: Path, fix: str) -> dict[str, Tensor]:
    """Each array by its name, as a tensor.

    Raises:
        InputError: there is no such file, it is damaged, or an array holds values that are no finite numbers.
    """
    if not path.exists():
        raise InputError(f"no file {path}", why="it was moved or deleted", fix=fix)
    why = why_not_regular(path)
    if why:
        raise InputError(f"cannot read {path}", why=why, fix=fix)
    try:
        with path.open("rb") as content, np.load(content, allow_pickle=False) as file:
            return {name: _tensor(file[name], name) for name in file.files}
    except _DAMAGED as error:
        said = str(error).splitlines()[:1] or [type(error).__name__]
        raise InputError(f"cannot read {path}", why=said[0], fix=fix) from error


def _tensor(array: np.ndarray, name: str) -> Tensor:
    if not isinstance(array, np.ndarray) or array.dtype.kind not in _NUMBERS:
        raise ValueError(f"{name} is no array of numbers")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinity")
    return torch.from_numpy(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="))))


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write an ``.npz`` file, all or nothing; the same arrays give the same bytes."""
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)
