"""Errors of onnxruntime, reported as bad input; a full disk is reported as such."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from cli_runs import mounted
from onnx import TensorProto, helper, numpy_helper

from fxpasses.errors import InputError
from fxpasses.export.onnx_refusals import refusals_told
from fxpasses.export.onnx_writer.optimizer import optimize_onnx


def _model(path: Path, rows: int = 100) -> Path:
    """A model of 400 bytes times ``rows``."""
    weight = numpy_helper.from_array(np.ones((rows, 100), np.float32), "w")
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, rows])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 100])
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [given], [made], [weight])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    return path


@pytest.mark.parametrize("kind", [RuntimeError, ValueError, TypeError])
def test_what_c_plus_plus_raises_is_told(kind: type[Exception]) -> None:
    with (
        pytest.raises(InputError, match=r"(?s)^it refuses.*why: two words\n.*fix: again"),
        refusals_told("it refuses", "again"),
    ):
        raise kind("two\n  words")


def test_every_exception_of_onnxruntime_is_told() -> None:
    from onnxruntime.capi import onnxruntime_pybind11_state as binding

    kinds = [kind for kind in vars(binding).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(kinds) > 10
    for kind in kinds:
        with pytest.raises(InputError, match="it refuses"), refusals_told("it refuses", "again"):
            raise kind("x")


def test_other_exceptions_pass() -> None:
    with pytest.raises(KeyError), refusals_told("it refuses", "again"):
        raise KeyError("ours")


def test_a_disk_that_fills_while_onnxruntime_writes(tmp_path: Path) -> None:
    """Its input still fits on the disk, its output does not; the file that was there stays."""
    source, disk = _model(tmp_path / "m.onnx", 400), tmp_path / "disk"
    disk.mkdir()
    if not mounted(disk, "-t", "tmpfs", "-o", "size=240k", "tmpfs"):
        pytest.skip("mounting a small file system is not permitted here")
    try:
        (disk / "out.onnx").write_bytes(b"old")
        with pytest.raises(InputError, match=r"(?s)cannot write .*out\.onnx.*the disk is full.*free some space"):
            optimize_onnx(source, disk / "out.onnx")
        assert [(path.name, path.read_bytes()) for path in disk.iterdir()] == [("out.onnx", b"old")]
    finally:
        subprocess.run(["umount", str(disk)], check=True)
