"""Names of classes from the data of a quantization."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fxpasses.errors import InputError
from fxpasses.layouts.class_names import class_names, named_in


def test_folders_in_alphabetical_order(tmp_path: Path) -> None:
    for name in ("train/b", "train/a", "val/c"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "train" / "readme").touch()
    assert class_names(f"images={tmp_path}") == ("a", "b", "c")


def test_a_labels_file_has_names_for_people(tmp_path: Path) -> None:
    written = {"classes": [["n01440764", "tench", "Tinca tinca"], ["n01443537"], "n02"]}
    (tmp_path / "labels.json").write_text(json.dumps(written))
    expected = ("tench", "n01443537", "n02")
    assert class_names(f"images={tmp_path}") == class_names("images=/x", str(tmp_path / "labels.json")) == expected


def test_published_names() -> None:
    assert class_names("cifar10=DIR")[8] == "ship" and len(class_names("fashion=DIR")) == 10
    assert class_names("sst2=DIR") == ("negative", "positive")


@pytest.mark.parametrize("spec", ["digits", "mnist=/nowhere"])
def test_digits(spec: str) -> None:
    assert class_names(spec) == tuple("0123456789")


@pytest.mark.parametrize("spec", ["images=/nowhere", "random=3x4x4", "a.py:f", ""])
def test_no_names(spec: str) -> None:
    assert class_names(spec) == ()


def test_a_damaged_file_has_no_names(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text('{"classes": 3}')
    assert class_names(f"images={tmp_path}") == ()
    with pytest.raises(InputError, match="classes"):
        named_in(tmp_path / "labels.json")
