"""``fx.report`` reads a folder's report: a mapping that prints the tables of the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
from call_folders import int8_folder
from documents import report as document
from torch import nn

import fxpasses as fx
from fxpasses.errors import InputError


def test_a_report_is_a_mapping_that_prints(tmp_path: Path) -> None:
    folder = int8_folder(tmp_path)
    report = fx.report(folder)
    assert report["model"] == "digits_cnn"
    assert report.to_json() == document()
    assert len(report) == len(list(report))
    assert report.page == folder / "report.html"
    text = repr(report)
    assert text.startswith("digits_cnn · data digits · target x86")
    assert {"torch int8", "onnxruntime int8"} <= {line[1:17].strip() for line in text.splitlines()}


def test_the_file_will_do_too(tmp_path: Path) -> None:
    folder = int8_folder(tmp_path)
    assert fx.report(str(folder / "report.json")) == fx.report(folder)


def test_a_model_is_no_path() -> None:
    with pytest.raises(InputError, match="name the folder that a command wrote"):
        fx.report(nn.Linear(2, 2))  # type: ignore[arg-type]  # what a user may try first
