"""Copies of ONNX files: whole, with weights beside them, and with other names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from int8_files import are_equal, run_file
from served import images, tiny_net

from fxpasses.errors import InputError
from fxpasses.layouts.model_file import copy_model, copy_renamed


def test_weights_beside_the_file_come_along(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.mkdir()
    target.mkdir()
    onnx.save_model(
        tiny_net(), source / "m.onnx", save_as_external_data=True, location="weights.bin", size_threshold=16
    )
    copy_model(source / "m.onnx", target / "model.onnx")
    assert (target / "weights.bin").stat().st_size > 500
    loaded = onnx.load(target / "model.onnx")
    assert are_equal(run_file(loaded.SerializeToString(), (images(2),)), run_file(_content(), (images(2),)))


def test_other_names_compute_the_same(tmp_path: Path) -> None:
    source = tmp_path / "m.onnx"
    onnx.save(tiny_net(), source)
    output = tiny_net().graph.output[0].name
    copy_renamed(source, tmp_path / "n.onnx", {"x": "pixel_values", output: "logits"})
    renamed = onnx.load(tmp_path / "n.onnx")
    assert [renamed.graph.input[0].name, renamed.graph.output[0].name] == ["pixel_values", "logits"]
    assert [entry.key for entry in renamed.metadata_props] == ["fxpasses.session_options"]
    expected = run_file(_content(), (images(2),))
    assert are_equal(run_file(renamed.SerializeToString(), (images(2),)), expected)
    assert len(np.unique(expected[0].numpy())) > 3


def test_a_name_that_is_taken(tmp_path: Path) -> None:
    onnx.save(tiny_net(), tmp_path / "m.onnx")
    taken = tiny_net().graph.node[3].output[0]
    with pytest.raises(InputError, match="another one in the file has that name"):
        copy_renamed(tmp_path / "m.onnx", tmp_path / "n.onnx", {"x": taken})


def _content() -> bytes:
    content: bytes = tiny_net().SerializeToString()
    return content
