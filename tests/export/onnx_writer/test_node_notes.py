"""Operators of ONNX files say where they come from, and nothing else of the file changes."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from int8_files import exported, model_of
from tiny_graphs import fused, quantized

from fxpasses.export.onnx_writer import node_notes
from fxpasses.export.onnx_writer.optimizer import optimize_onnx
from fxpasses.formats.node_notes import FOLDED, GRID, MODULE, OPERATOR, SQNR_DB, TENSOR, WEIGHTS
from fxpasses.graph.meta_keys import SQNR
from fxpasses.graph.pass_runner import copy_graph
from fxpasses.quantization.numbers import ops


def notes(model: onnx.ModelProto) -> dict[str, dict[str, str]]:
    """The notes of the operators that have some, by ONNX type and number."""
    return {n.name: {e.key: e.value for e in n.metadata_props} for n in model.graph.node if n.metadata_props}


@pytest.mark.parametrize("form", ["qdq", "qoperator"])
def test_an_int8_layer_says_path_scales_and_what_it_took_in(form: str) -> None:
    found = notes(model_of(exported(quantized("conv_bn_relu"), verify=False, form=form)))
    layer = next(n for n in found.values() if n.get(WEIGHTS))
    assert layer[MODULE] == "0" and layer[OPERATOR] == "conv2d" and layer[FOLDED] == "_1"
    assert layer[GRID].startswith("uint8, scale 0.") and "zero point" in layer[GRID]
    assert layer[WEIGHTS].startswith("int8, scale ")
    assert layer[TENSOR]


@pytest.mark.parametrize("name", ["conv_bn_relu", "residual_block", "attention", "squeeze_excite"])
def test_every_operator_that_computes_has_notes(name: str) -> None:
    for graph in (fused(name), quantized(name)):
        model = model_of(exported(graph, verify=False))
        # what only gives shapes, pads images, or keeps onnxruntime from a fusion
        silent = {"QuantizeLinear", "DequantizeLinear", "Cast", "Shape", "Gather", "Pad", "Max", "Reshape", "Transpose"}
        assert [n.name for n in model.graph.node if n.op_type not in silent and not n.metadata_props] == []


@pytest.mark.parametrize("form", ["qdq", "qoperator"])
def test_the_same_bytes_otherwise(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    noted = model_of(exported(quantized("residual_block"), verify=False, form=form))
    monkeypatch.setattr(node_notes, "note_nodes", lambda *_: None)
    bare = exported(quantized("residual_block"), verify=False, form=form)
    assert noted.SerializeToString() != bare
    for node in noted.graph.node:
        del node.metadata_props[:]
    assert noted.SerializeToString() == bare


def test_notes_outlive_onnxruntimes_optimizer(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(exported(fused("residual_block"), verify=False))
    optimize_onnx(tmp_path / "m.onnx", tmp_path / "o.onnx")
    assert any(found.get(FOLDED) for found in notes(onnx.load(tmp_path / "o.onnx")).values())


def test_sqnr_is_told_where_it_was_measured() -> None:
    graph = copy_graph(quantized("conv_bn_relu"))
    last = [n for n in graph.graph.nodes if n.target is ops.quantize][-1]
    last.meta[SQNR] = 31.25
    assert [n[SQNR_DB] for n in notes(model_of(exported(graph, verify=False))).values() if SQNR_DB in n] == ["31.2"]
