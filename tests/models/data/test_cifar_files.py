"""CIFAR-10 in both layouts, as small files written here."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from fxpasses.errors import InputError
from fxpasses.models.data.cifar_files import cifar_splits
from fxpasses.models.datasets import open_dataset
from fxpasses.models.model_input import ModelInput

MODEL = ModelInput((3, 32, 32))
BATCHES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


def records(first: int, count: int = 3) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """Records whose label is ``index % 10`` and whose pixels are the index."""
    return np.stack([np.r_[index % 10, [index] * 3072] for index in range(first, first + count)]).astype(np.uint8)


def write_binary(folder: Path) -> None:
    folder.mkdir()
    for number, name in enumerate(BATCHES):
        (folder / f"{name}.bin").write_bytes(records(3 * number).tobytes())


def write_pickled(folder: Path, protocol: int = 2) -> None:
    folder.mkdir()
    for number, name in enumerate(BATCHES):
        rows = records(3 * number)
        batch = {b"data": rows[:, 1:], b"labels": rows[:, 0].tolist(), b"batch_label": b"one of five"}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=protocol))


@pytest.mark.parametrize("inside", [True, False], ids=["parent folder", "the folder itself"])
@pytest.mark.parametrize("layout", ["bin", "py"])
def test_both_layouts_give_the_same_images(tmp_path: Path, layout: str, inside: bool) -> None:
    folder = tmp_path / f"cifar-10-batches-{layout}"
    if layout == "bin":
        write_binary(folder)
    else:
        # Protocol 2, in which the published files are, spells bytes as a call that python 3 alone makes.
        write_pickled(folder, protocol=3)
    data = open_dataset(f"cifar10={tmp_path if inside else folder}", MODEL)
    assert (data.calibration_images, data.evaluation_images) == (15, 3)
    training, _ = cifar_splits(folder, "x")
    wanted = torch.tensor([14, 0, 7, 3, 2])
    assert training.inputs(wanted)[:, 2, 31, 31].tolist() == wanted.tolist()
    assert training.labels is not None
    assert training.labels.tolist() == [index % 10 for index in range(15)]


def test_planes_are_red_green_blue(tmp_path: Path) -> None:
    write_binary(tmp_path / "bin")
    row = np.r_[4, [10] * 1024, [20] * 1024, [30] * 1024].astype(np.uint8)
    (tmp_path / "bin" / "test_batch.bin").write_bytes(row.tobytes())
    _, held_out = cifar_splits(tmp_path / "bin", "x")
    assert held_out.inputs(torch.tensor([0]))[0, :, 5, 6].tolist() == [10, 20, 30]


class RunsCode:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    write_pickled(tmp_path / "py", protocol=3)
    (tmp_path / "py" / "data_batch_2").write_bytes(pickle.dumps({b"data": RunsCode(tmp_path / "ran")}))
    with pytest.raises(InputError, match=r"(?s)cannot read .*data_batch_2.*mkdir, which is not data"):
        cifar_splits(tmp_path / "py", "x")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot read"),
        (b"not a pickle", "cannot read"),
        (pickle.dumps([1, 2], protocol=3), r"no uint8 'data'"),
        (pickle.dumps({b"data": np.zeros((2, 5), np.uint8), b"labels": [1, 2]}, protocol=3), r"no uint8 'data'"),
        (pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1]}, protocol=3), "'labels' do not go with"),
        (pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"labels": [10]}, protocol=3), "it has the label 10"),
    ],
)
def test_a_damaged_python_batch_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    write_pickled(tmp_path / "py", protocol=3)
    (tmp_path / "py" / "data_batch_3").write_bytes(content)
    with pytest.raises(InputError, match=message):
        cifar_splits(tmp_path / "py", "x")


@pytest.mark.parametrize("content", [b"", b"12345", records(0).tobytes()[:-1]])
def test_a_damaged_binary_file_is_named(tmp_path: Path, content: bytes) -> None:
    write_binary(tmp_path / "bin")
    (tmp_path / "bin" / "data_batch_4.bin").write_bytes(content)
    with pytest.raises(InputError, match=r"data_batch_4.bin is damaged"):
        cifar_splits(tmp_path / "bin", "x")


def test_a_label_above_nine_is_refused(tmp_path: Path) -> None:
    write_binary(tmp_path / "bin")
    (tmp_path / "bin" / "test_batch.bin").write_bytes(b"\xff" * 3073)
    with pytest.raises(InputError, match="it has the label 255"):
        cifar_splits(tmp_path / "bin", "x")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    write_binary(tmp_path / "bin")
    (tmp_path / "bin" / "data_batch_5.bin").unlink()
    with pytest.raises(InputError, match=r"cannot open .*data_batch_5.bin"):
        cifar_splits(tmp_path / "bin", "x")
    with pytest.raises(InputError, match=r"neither test_batch.bin nor test_batch"):
        cifar_splits(tmp_path, "x")
