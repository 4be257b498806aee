"""Files from outside: their errors, with remedies."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper
from qdq_models import Graph, conv_net, weights

from fxpasses.errors import InputError
from fxpasses.export.onnx_reader import metadata, opset_of, read_onnx, start_session


def test_reads_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(conv_net(**{"fxpasses.target": "x86"}), path)
    model = read_onnx(path)
    assert metadata(model) == {"fxpasses.target": "x86"}
    assert opset_of(model) == 17


def test_a_file_without_standard_operators_has_no_opset() -> None:
    graph = helper.make_graph([], "graph", [], [])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("com.microsoft", 1)])
    assert opset_of(model) == 0


def test_weights_in_another_file_are_read(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(conv_net(), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert all(not tensor.external_data for tensor in read_onnx(path).graph.initializer)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(InputError, match=r"(?s)cannot read .*its weights lie in another file.*keep both files in one"):
        read_onnx(path)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it holds no graph"),
        (b"hello world, this is no model at all", "Wire format was corrupt|Error parsing message"),
        (b"\x80\x04\x95 a pickle", "Wire format was corrupt|Error parsing message"),
    ],
)
def test_a_file_that_is_not_onnx(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"(?s)model.onnx is not an ONNX file.*({why}).*fix: export it again"):
        read_onnx(path)


def test_a_file_that_was_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(conv_net(), path)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(InputError, match=r"(?s)is not an ONNX file.*it may have been cut short"):
        read_onnx(path)


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"(?s)no file .*absent.onnx.*there is no such file"):
        read_onnx(tmp_path / "absent.onnx")
    with pytest.raises(InputError, match="it is a folder"):
        read_onnx(tmp_path)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(onnx, "load", refused)  # root may read everything
    (tmp_path / "model.onnx").touch()
    with pytest.raises(InputError, match=r"(?s)cannot read .*permission denied"):
        read_onnx(tmp_path / "model.onnx")


def test_a_session_starts(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(conv_net(), path)
    session = start_session(path, ort.SessionOptions())
    assert [value.name for value in session.get_inputs()] == ["x"]


def test_onnxruntime_refuses(tmp_path: Path) -> None:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    graph = Graph()
    graph.output(graph.node("Nonsense", [graph.input(1)]))
    unknown = tmp_path / "unknown.onnx"
    onnx.save(graph.model(), unknown)
    with pytest.raises(InputError, match=r"(?s)onnxruntime .* refuses .*unknown.onnx.*Nonsense.*fix: export it again"):
        start_session(unknown, options)
    graph = Graph()
    graph.output(graph.node("MatMul", [graph.input(2, 3), graph.const(weights(4, 5))]), dtype=TensorProto.FLOAT)
    mismatched = tmp_path / "mismatched.onnx"
    onnx.save(graph.model(), mismatched)
    with pytest.raises(InputError, match=r"(?s)refuses .*mismatched.onnx"):
        start_session(mismatched, options)
