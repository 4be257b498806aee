"""ONNX files compute exactly what the graph computes, have metadata, and are written only if they are right."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
import torch
from int8_files import ENDS_IN_FLOATS, NETS, are_equal, exported, file_of, inputs_of, model_of, run_file
from tiny_graphs import X86, close, exact_outputs, fused, observed, outputs_of, own_copy, quantized
from tiny_nets.share import each_net
from torch import fx

from fxpasses.errors import GraphError, InputError
from fxpasses.export import to_onnx
from fxpasses.export.metadata import qparams_hash
from fxpasses.export.onnx_writer.opsets import DEFAULT_OPSET, GELU_OPSET
from fxpasses.quantization.numbers import ops

FLOAT_TOLERANCE = 1e-5
"""Two float libraries add up at most 72 products of values near one in different orders: 72 * 2**-24 = 4e-6."""

FLOAT_NETS = ("conv_bn_relu", "residual_block", "embedding_linear", "two_outputs", "layer_norm")


@pytest.mark.parametrize("name", FLOAT_NETS)
def test_float_graph(name: str) -> None:
    gm = fused(name)
    content = exported(gm)
    assert not any(n.op_type == "QuantizeLinear" for n in model_of(content).graph.node)
    for batch in (1, 2, 3):
        inputs = inputs_of(name, batch)
        for ours, theirs in zip(outputs_of(gm, inputs), run_file(content, inputs), strict=True):
            torch.testing.assert_close(theirs, ours, rtol=0, atol=FLOAT_TOLERANCE * max(1.0, float(ours.abs().max())))


@pytest.mark.parametrize("name", each_net(NETS))
def test_int8_graph_gives_the_same_numbers(name: str) -> None:
    gm, content = quantized(name), file_of(name)
    onnx.checker.check_model(model_of(content), full_check=True)
    for batch in (1, 2, 3):
        inputs = inputs_of(name, batch)
        agree = close if name in ENDS_IN_FLOATS else are_equal
        assert agree(run_file(content, inputs), exact_outputs(gm, inputs))


@pytest.mark.parametrize("name", each_net(NETS))
def test_integer_tensors_keep_their_names(name: str) -> None:
    makers = ("QuantizeLinear", "Pad", "Reshape")  # Reshape: of a layer's rows, back to its shape
    integers = {n.output[0] for n in model_of(file_of(name)).graph.node if n.op_type in makers}
    expected = {n.name for n in quantized(name).graph.nodes if n.target is ops.quantize}
    assert expected <= integers
    assert expected


def test_metadata() -> None:
    model = model_of(file_of("conv_bn_relu"))
    found = {p.key: p.value for p in model.metadata_props if p.key.startswith("fxpasses.")}
    assert found.keys() == {
        f"fxpasses.{k}" for k in ("stage", "version", "torch", "target", "recipe", "qparams_sha256", "session_options")
    }
    assert (found["fxpasses.target"], found["fxpasses.stage"]) == ("x86", "QUANTIZED")
    assert json.loads(found["fxpasses.recipe"])["observer"] == X86.observer
    assert found["fxpasses.qparams_sha256"] == qparams_hash(quantized("conv_bn_relu"))


@pytest.mark.parametrize("name", ["conv_bn_relu", "squeeze_excite", "embedding_linear"])
def test_no_trace_of_the_exporter(name: str) -> None:
    content = file_of(name)
    for trace in (b".py", b"stack_trace", b"pkg.torch", b"site-packages", b"/home/", str(Path.cwd()).encode()):
        assert trace not in content


@pytest.mark.parametrize("name", ["gelu", pytest.param("gelu_tanh", marks=pytest.mark.slow)])
def test_a_gelu_is_one_operator(name: str) -> None:
    """Written as five operators, a gelu would need five copies of its input, and onnxruntime would not fuse it."""
    for graph in (fused(name), quantized(name)):
        model = model_of(exported(graph))
        assert [n.op_type for n in model.graph.node].count("Gelu") == 1
        assert {o.version for o in model.opset_import if not o.domain} == {GELU_OPSET}
    old = model_of(exported(quantized(name), opset=DEFAULT_OPSET))
    assert "Gelu" not in {n.op_type for n in old.graph.node}
    inputs = inputs_of(name)
    for opset in (DEFAULT_OPSET, GELU_OPSET):
        content = exported(quantized(name), opset=opset)
        assert are_equal(outputs_of(quantized(name), inputs), run_file(content, inputs))


@pytest.mark.parametrize("opset", [18, pytest.param(21, marks=pytest.mark.slow)])
def test_opset(opset: int) -> None:
    content = exported(quantized("adaptive_pool_to_1"), opset=opset)
    assert {o.domain: o.version for o in model_of(content).opset_import}[""] == opset
    inputs = inputs_of("adaptive_pool_to_1")
    assert are_equal(exact_outputs(quantized("adaptive_pool_to_1"), inputs), run_file(content, inputs))


def _batch_dimension(content: bytes) -> onnx.TensorShapeProto.Dimension:
    found: onnx.TensorShapeProto.Dimension = model_of(content).graph.input[0].type.tensor_type.shape.dim[0]
    return found


def test_dynamic_and_fixed_batch() -> None:
    assert _batch_dimension(file_of("conv_bn_relu")).dim_param
    fixed = exported(quantized("conv_bn_relu"), dynamic_batch=False)
    assert _batch_dimension(fixed).dim_value == 2
    inputs = inputs_of("conv_bn_relu", 2)
    assert are_equal(outputs_of(quantized("conv_bn_relu"), inputs), run_file(fixed, inputs))


def test_the_graph_is_left_alone(tmp_path: Path) -> None:
    gm = quantized("residual_block")
    code, keys = gm.code, sorted(gm.meta)
    to_onnx(gm, tmp_path / "model.onnx")
    assert (gm.code, sorted(gm.meta)) == (code, keys)


def test_exporting_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    to_onnx(quantized("linear_on_image"), tmp_path / "model.onnx")
    assert capfd.readouterr() == ("", "")


def test_unknown_form(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"form 'qnn'\n  why: there is no such ONNX form\n  fix: use 'qdq' or"):
        to_onnx(quantized("conv_bn_relu"), tmp_path / "model.onnx", form="qnn")  # type: ignore[arg-type]  # what the test is about
    assert not list(tmp_path.iterdir())


def test_observed_graph(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match=r"(?s)to_onnx got a graph in stage .*OBSERVED.*fix: fx.convert\(graph\)"):
        to_onnx(observed("conv_bn_relu"), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_graph_that_was_not_captured(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="only FLOAT, QUANTIZED and LOWERED graphs have an ONNX form"):
        to_onnx(fx.symbolic_trace(torch.nn.Linear(2, 3)), tmp_path / "model.onnx")


@pytest.mark.parametrize("opset", [0, 12, 99])
def test_impossible_opset(opset: int, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"opset {opset}\n  why: files have 13 to 23\n  fix: leave it out"):
        to_onnx(quantized("conv_bn_relu"), tmp_path / "model.onnx", opset=opset)
    assert not list(tmp_path.iterdir())


def test_an_operator_onnx_does_not_have(tmp_path: Path) -> None:
    gm = own_copy(fused("conv_bn_relu"))
    output = next(n for n in gm.graph.nodes if n.op == "output")
    with gm.graph.inserting_before(output):
        called = gm.graph.call_function(torch.special.airy_ai, (output.args[0],))
        called.meta = dict(output.args[0].meta)
        output.args = (called,)
    gm.recompile()
    with pytest.raises(GraphError, match=r"(?s)cannot be exported to ONNX\n  why: .*airy_ai.*in:  to_onnx"):
        to_onnx(gm, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def strict_checker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the checker by one that refuses everything."""

    def refuse(*_: object, **__: object) -> None:
        raise onnx.checker.ValidationError("the graph is not to my taste\nat all")

    monkeypatch.setattr(onnx.checker, "check_model", refuse)


@pytest.mark.usefixtures("strict_checker")
def test_a_model_the_checker_refuses_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"the file before")
    with pytest.raises(GraphError, match=r"why: onnx.checker: the graph is not to my taste\n"):
        to_onnx(quantized("linear_on_image"), path)
    assert path.read_bytes() == b"the file before"
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"(?s)cannot write .*a part of the path is a file, not a folder"):
        to_onnx(quantized("linear_on_image"), tmp_path / "file" / "model.onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_interrupted_while_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: Path, data: bytes) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        to_onnx(quantized("linear_on_image"), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_the_same_graph_gives_the_same_file() -> None:
    assert exported(quantized("linear_on_image")) == file_of("linear_on_image")
