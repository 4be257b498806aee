"""ONNX files with false content: answered or refused, in time, and onnxruntime's own log is not shown."""

from __future__ import annotations

import functools
import os
import tempfile
from itertools import islice
from pathlib import Path

import onnx
import pytest
from cli_runs import Run, fxpasses, fxpasses_process, is_refused
from onnx_cases import CASES, altered_files
from onnx_cases import WEIGHTS as OTHER_FILE
from tiny_graphs import quantized

from fxpasses.errors import InputError
from fxpasses.export import to_onnx
from fxpasses.export.onnx_reader import read_onnx
from fxpasses.reports.view import view

ALL, QUICK = 300, 17
"""Number of files, and the divisor for the quick test."""
LYING = ("external", "an offset", "a length below", "a length beyond", "a length that")


@functools.cache
def content() -> bytes:
    """A small int8 file."""
    with tempfile.TemporaryDirectory() as folder:
        return to_onnx(quantized("conv_uneven"), Path(folder) / "m.onnx").read_bytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / OTHER_FILE).write_bytes(bytes(64))
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


def _audited(changed: bytes, folder: Path) -> Run:
    (folder / "m.onnx").write_bytes(changed)
    return fxpasses("audit", folder / "m.onnx")


def _audit_all(step: int, folder: Path) -> None:
    refused = count = 0
    for name, changed in islice(altered_files(content(), ALL), 0, ALL, step):
        count += 1
        done = _audited(changed, folder)
        assert done.code in (0, 1, 2), f"{name}: {done.err}"
        if done.code == 2:
            refused += 1
            assert str(folder) in done.err, f"{name}: {done.err}"
            assert "\n  fix: " in done.err
    assert refused > count / 3
    assert {path.name for path in folder.iterdir()} == {"m.onnx", OTHER_FILE, "pipe"}


def test_some_altered_files(folder: Path) -> None:
    _audit_all(QUICK, folder)


@pytest.mark.slow
def test_three_hundred_altered_files(folder: Path) -> None:
    _audit_all(1, folder)


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith(LYING)])
def test_external_data_is_where_it_is_said_to_be(name: str, folder: Path) -> None:
    model = onnx.ModelProto()
    model.ParseFromString(content())
    CASES[name](model)
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match=r"(?s)cannot read .*its weights lie in another file.*fix: "):
        read_onnx(folder / "m.onnx")


def test_pipes_and_devices(folder: Path) -> None:
    (folder / "zero.onnx").symlink_to("/dev/zero")
    (folder / "pipe").rename(folder / "pipe.onnx")
    for name in ("zero.onnx", "pipe.onnx"):
        is_refused(fxpasses("audit", folder / name), "only files are read")
        with pytest.raises(InputError, match="cannot view"):
            view(folder / name)


@pytest.mark.slow
def test_onnxruntime_logs_nothing(folder: Path) -> None:
    """Tested in a separate process, because onnxruntime's log does not use ``sys.stderr``."""
    model = onnx.ModelProto()
    model.ParseFromString(content())
    CASES["weights cut short"](model)
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    done = fxpasses_process("audit", folder / "m.onnx")
    is_refused(done, "m.onnx")
    assert "[E:onnxruntime" not in done.err
