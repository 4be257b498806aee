"""``fxpasses diff``: text, JSON, picture, and an exit code as diff has it."""

from __future__ import annotations

import json
from pathlib import Path

from cli_runs import fxpasses
from tiny_graphs import captured, quantized

from fxpasses.export import save, to_onnx


def test_text_json_and_picture(tmp_path: Path) -> None:
    save(captured("conv_bn_relu"), tmp_path / "a.pt2")
    to_onnx(quantized("conv_bn_relu"), tmp_path / "model.int8.onnx", verify=False)
    picture = tmp_path / "d.svg"
    done = fxpasses("diff", tmp_path / "a.pt2", tmp_path, "--json", tmp_path / "d.json", "--picture", picture)
    assert done.code == 1, done.err
    assert "1 batch_norm" in done.out and "model.int8.onnx" in done.out
    assert json.loads((tmp_path / "d.json").read_text())["counts"]["folded"] == {"batch_norm": 1}
    assert picture.read_text().startswith("<?xml")


def test_a_model_and_itself(tmp_path: Path) -> None:
    save(captured("conv_bn_relu"), tmp_path / "a.pt2")
    done = fxpasses("diff", tmp_path / "a.pt2", tmp_path / "a.pt2", "--json", "-")
    assert done.code == 0
    assert json.loads(done.out)["equal"] is True


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    done = fxpasses("diff", tmp_path / "a.txt", tmp_path / "b.onnx")
    assert done.code == 2 and "no graph that is read here" in done.err
