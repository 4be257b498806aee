"""Arrays of numbers from a file: read, or refused by name; never an exception of the libraries below."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from fxpasses.errors import InputError
from fxpasses.export.plain_arrays import read_arrays, write_arrays

FIX = "copy it again"


def written(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]  # that is what is tried
    return path


def test_numbers_of_every_kind_and_byte_order(tmp_path: Path) -> None:
    path = written(tmp_path / "a.npz", a=np.arange(3, dtype=">i4"), b=np.zeros((2, 0)), c=np.array(True))
    found = read_arrays(path, FIX)
    assert found["a"].tolist() == [0, 1, 2]
    assert found["a"].dtype == torch.int32
    assert found["b"].shape == (2, 0)
    assert found["c"].item() is True


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.array([b"abc"]), "a is no array of numbers"),
        (np.array(["abc"]), "a is no array of numbers"),
        (np.array([1j]), "a is no array of numbers"),
        (np.array([object()], dtype=object), "allow_pickle"),
        (np.array([1.0, np.nan]), "NaN"),
        (np.array([-np.inf]), "NaN or infinity"),
    ],
)
def test_what_is_refused(array: np.ndarray, said: str, tmp_path: Path) -> None:
    path = written(tmp_path / "a.npz", a=array)
    with pytest.raises(InputError, match=rf"(?s)cannot read .*a\.npz.*{said}.*fix: {FIX}"):
        read_arrays(path, FIX)


@pytest.mark.parametrize("header", [b"{'descr': '<f4', (", b"{'descr': '<f4', 'shape': (2**99,)}", b"\xff", b"{"])
def test_headers_that_are_no_literals(header: bytes, tmp_path: Path) -> None:
    """The first made numpy's tokenizer raise a TokenError."""
    good = io.BytesIO()
    np.save(good, np.zeros(3, np.float32))
    content = good.getvalue()
    (tmp_path / "a").write_bytes(content[:10] + header.ljust(len(content) - 23) + b"\n" + content[-12:])
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.write(tmp_path / "a", "a.npy")
    with pytest.raises(InputError, match=r"cannot read .*a\.npz"):
        read_arrays(tmp_path / "a.npz", FIX)


def test_no_file_and_a_pipe(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="moved or deleted"):
        read_arrays(tmp_path / "a.npz", FIX)
    os.mkfifo(tmp_path / "a.npz")
    with pytest.raises(InputError, match="only files are read"):
        read_arrays(tmp_path / "a.npz", FIX)


def test_what_is_written_is_read_and_the_same_bytes_again(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6, dtype=np.uint8).reshape(2, 3), "b": np.ones(2, np.float32)}
    for name in ("one.npz", "two.npz"):
        write_arrays(tmp_path / name, arrays)
    read = read_arrays(tmp_path / "one.npz", "write it again")
    assert {name: tensor.tolist() for name, tensor in read.items()} == {"a": [[0, 1, 2], [3, 4, 5]], "b": [1.0, 1.0]}
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
