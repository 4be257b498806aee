"""``fxpasses bundle``: what it prints and writes, and bad input in sentences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bundle_folders import copied, folder
from cli_runs import fxpasses


@pytest.mark.slow
def test_a_bundle(tmp_path: Path) -> None:
    done = fxpasses("bundle", folder(), "--out", tmp_path / "app.zip", "--json", tmp_path / "app.json")
    assert done.code == 0, done.err
    assert "self-test passed" in done.out and "12 files" in done.out
    assert "--labels FILE gives them" in done.err and "no graph takes images" not in done.err
    document = json.loads((tmp_path / "app.json").read_text())
    assert document["self_test"]["passed"] and document["target"] == "x86-avx2"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--target", "arm64"], "target 'arm64'"),
        (["--target", "cuda"], "wants int8 activations with zero_point 0"),
        (["--labels", "absent.json"], "cannot read the labels absent.json"),
    ],
)
def test_bad_options(arguments: list[str], said: str, tmp_path: Path) -> None:
    done = fxpasses("bundle", folder(), "--out", tmp_path / "app.zip", *arguments)
    assert done.code == 2 and said in done.err and "fix: " in done.err and "Traceback" not in done.err
    assert list(tmp_path.iterdir()) == []


def test_bad_folders_and_places(tmp_path: Path) -> None:
    torn = copied(tmp_path / "torn")
    (torn / "report.json").write_text("{")
    for place, said in (
        (tmp_path / "absent", "it does not exist"),
        (tmp_path, "no report.json in"),
        (torn, "is not JSON"),
    ):
        done = fxpasses("bundle", place, "--out", tmp_path / "app.zip")
        assert done.code == 2 and said in done.err and "Traceback" not in done.err, done.err


def test_layouts(tmp_path: Path) -> None:
    made = {
        "triton": {"config.pbtxt", "model.onnx", "labels.txt"},
        "mlflow": {"MLmodel", "model.onnx", "requirements.txt", "conda.yaml", "python_env.yaml"},
    }
    for layout, files in made.items():
        done = fxpasses("bundle", folder(), "--layout", layout, "--out", tmp_path / layout)
        assert done.code == 0, done.err
        found = {path.name for path in (tmp_path / layout).rglob("*") if path.is_file()}
        assert found | {"labels.txt"} == files | {"labels.txt"}
    done = fxpasses("bundle", folder(), "--layout", "triton", "--resize", "--out", tmp_path / "other")
    assert done.code == 2 and "--resize with --layout triton" in done.err
    assert not (tmp_path / "other").exists()
