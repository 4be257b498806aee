"""``quantize --method`` from the command line: files, report, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_runs import fxpasses, is_refused

from fxpasses.cli.folders.folder import require_static
from fxpasses.errors import InputError

LEAST_AGREEMENT = 90.0
"""Least agreement in percent; the weights are random, so some images lie between two classes."""
QUICK = ("digits_cnn", "--data", "digits", "--eval", "40", "--no-bench", "--threads", "1")


@pytest.mark.parametrize(
    ("method", "precision", "settings"),
    [
        pytest.param(
            "weight-only", "int4", ("--bits", "4", "--group-size", "64", "--compute", "float"), marks=pytest.mark.slow
        ),
        pytest.param("fp16", "fp16", (), marks=pytest.mark.slow),
        pytest.param("bf16", "bf16", (), marks=pytest.mark.slow),
        pytest.param("dynamic", "int8", (), marks=pytest.mark.slow),
    ],
)
def test_files_and_report(method: str, precision: str, settings: tuple[str, ...], tmp_path: Path) -> None:
    done = fxpasses("quantize", *QUICK, "--method", method, *settings, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    files = {"model.fp32.onnx", f"model.{precision}.onnx", f"model.{precision}.pt2", "report.json", "report.html"}
    assert {file.name for file in (tmp_path / "out").iterdir()} == files
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["method"], report["parity"]) == (method, None)
    names = [f"{runtime} {p}" for runtime in ("torch", "onnxruntime") for p in ("fp32", precision)]
    assert [variant["name"] for variant in report["variants"]] == names
    assert report["runtime_agreement"]["top1_agreement"] >= LEAST_AGREEMENT
    assert "Torch and onnxruntime" in (tmp_path / "out" / "report.html").read_text()


def test_alien_option_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    done = fxpasses(
        "quantize", "nothing", "--data", "none", "--method", "fp16", "--calib", "3", "--out", tmp_path / "o"
    )
    is_refused(done, "--calib with --method fp16")
    assert not (tmp_path / "o").exists()


def test_unknown_layer_is_refused(tmp_path: Path) -> None:
    done = fxpasses("quantize", *QUICK, "--method", "fp16", "--keep-float", "nosuch", "--out", tmp_path / "o")
    is_refused(done, "it matches no node, layer or operator")


def test_other_commands_want_static_folders() -> None:
    require_static({}, Path("folder"), "bench")
    with pytest.raises(InputError, match="made with --method fp16"):
        require_static({"method": "fp16"}, Path("folder"), "parity")
