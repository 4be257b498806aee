"""Refusals of folders: no quantization, a missing or torn file, another method, or files of two models."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import onnx
import pytest
from bundle_folders import copied, folder

from fxpasses.bundles import source_folder
from fxpasses.bundles.source_folder import read_source
from fxpasses.errors import InputError


def test_a_whole_folder() -> None:
    source = read_source(folder())
    assert source.made_for == "x86-avx2" and source.report["model"] == "tiny_images" and source.integers.is_file()


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it does not exist"):
        read_source(tmp_path / "absent")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="it is a file"):
        read_source(tmp_path / "file")


@pytest.mark.parametrize(
    "name", ["report.json", "model.int8.onnx", "model.fp32.onnx", "model.int8.pt2", "integers.npz"]
)
def test_a_file_is_missing(name: str, tmp_path: Path) -> None:
    place = copied(tmp_path / "folder")
    (place / name).unlink()
    with pytest.raises(InputError, match=f"no {name} in"):
        read_source(place)


@pytest.mark.parametrize("name", ["report.json", "model.int8.onnx", "model.fp32.onnx", "model.int8.pt2"])
def test_a_torn_file(name: str, tmp_path: Path) -> None:
    place = copied(tmp_path / "folder")
    (place / name).write_bytes((place / name).read_bytes()[:200])
    with pytest.raises(InputError):
        read_source(place)


def test_another_method(tmp_path: Path) -> None:
    place = copied(tmp_path / "folder")
    told = json.loads((place / "report.json").read_text()) | {"method": "dynamic"}
    (place / "report.json").write_text(json.dumps(told))
    with pytest.raises(InputError, match="made by method dynamic"):
        read_source(place)


def test_files_of_two_models(tmp_path: Path) -> None:
    place = copied(tmp_path / "folder")
    shutil.copyfile(place / "model.fp32.onnx", place / "model.int8.onnx")
    with pytest.raises(InputError, match="of two models"):
        read_source(place)


def test_a_model_too_large_for_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_folder, "LARGEST_MODEL", onnx.load(folder() / "model.int8.onnx").ByteSize() - 1)
    with pytest.raises(InputError, match="weights beyond 2 GB"):
        read_source(folder())
