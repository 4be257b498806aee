"""Float ONNX files are optimised without changing what they compute; quantized ones are refused."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from fxpasses.errors import InputError
from fxpasses.export.onnx_writer.optimizer import Optimizer, optimize_onnx

# Folding BatchNorm into the convolution rounds each weight once more: a few float32 epsilons of outputs of order 10.
FOLDING = 1e-4

UNSORTING_TOOL = """
import sys
import onnx
arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
model = onnx.load(arguments["--input"])
nodes = list(model.graph.node)[::-1]
del model.graph.node[:]
model.graph.node.extend(nodes)
onnx.save(model, arguments["--output"])
"""
FAILING_TOOL = "raise IndexError('list index out of range')"


@pytest.fixture
def float_file(tmp_path: Path) -> Path:
    """conv -> batch norm -> identity -> relu, with metadata and a batch of any size."""
    rng = np.random.default_rng(0)

    def constant(name: str, *shape: int, positive: bool = False) -> TensorProto:
        values = rng.standard_normal(shape).astype(np.float32)
        return numpy_helper.from_array(np.abs(values) + 0.5 if positive else values, name)

    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "weight"], ["conv"], name="conv"),
            helper.make_node("BatchNormalization", ["conv", "gamma", "beta", "mean", "var"], ["normed"], name="bn"),
            helper.make_node("Identity", ["normed"], ["same"], name="identity"),
            helper.make_node("Relu", ["same"], ["y"], name="relu"),
        ],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 7, 5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4, 5, 3])],
        [
            constant("weight", 4, 3, 3, 3),
            constant("gamma", 4),
            constant("beta", 4),
            constant("mean", 4),
            constant("var", 4, positive=True),
        ],
    )
    return saved(graph, tmp_path / "float.onnx")


def saved(graph: onnx.GraphProto, path: Path) -> Path:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(model, {"target": "x86"})
    onnx.save(model, path)
    return path


def run(path: Path) -> NDArray[np.float32]:
    import onnxruntime as ort

    x = np.random.default_rng(1).standard_normal((2, 3, 7, 5)).astype(np.float32)
    outputs = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"x": x})
    return cast("NDArray[np.float32]", outputs[0])


def operators(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


def install_tool(folder: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a stand-in for onnxruntime-tools where this process and its children find it first."""
    package = folder / "site" / "onnxruntime_tools"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "optimizer_cli.py").write_text(source)
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.setenv("PYTHONPATH", str(package.parent))


def test_basic_level_folds_and_keeps_the_outputs(float_file: Path, tmp_path: Path) -> None:
    before, optimized = float_file.read_bytes(), tmp_path / "optimized.onnx"
    optimize_onnx(float_file, optimized)
    assert operators(float_file) == ["Conv", "BatchNormalization", "Identity", "Relu"]
    assert operators(optimized) == ["Conv", "Relu"]
    np.testing.assert_allclose(run(optimized), run(float_file), rtol=0, atol=FOLDING)
    assert float_file.read_bytes() == before


def test_the_file_stays_portable(float_file: Path, tmp_path: Path) -> None:
    optimize_onnx(float_file, tmp_path / "optimized.onnx")
    model = onnx.load(tmp_path / "optimized.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 20)]
    assert [(prop.key, prop.value) for prop in model.metadata_props] == [("target", "x86")]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"


def test_in_place(float_file: Path) -> None:
    optimize_onnx(float_file, float_file)
    assert operators(float_file) == ["Conv", "Relu"]


def test_none_copies(float_file: Path, tmp_path: Path) -> None:
    optimize_onnx(float_file, tmp_path / "copy.onnx", "none")
    assert onnx.load(tmp_path / "copy.onnx") == onnx.load(float_file)


@pytest.mark.parametrize("tool", ["onnxruntime", "none"])
def test_weights_in_a_file_of_their_own_are_taken_in(float_file: Path, tmp_path: Path, tool: Optimizer) -> None:
    (tmp_path / "split").mkdir()
    split = tmp_path / "split" / "split.onnx"
    onnx.save(onnx.load(float_file), split, save_as_external_data=True, location="split.onnx.data", size_threshold=0)
    optimize_onnx(split, tmp_path / "whole.onnx", tool)
    np.testing.assert_allclose(run(tmp_path / "whole.onnx"), run(float_file), rtol=0, atol=FOLDING)


def test_onnxruntime_tools_runs_apart_and_its_nodes_are_sorted(
    float_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_tool(tmp_path, UNSORTING_TOOL, monkeypatch)
    optimize_onnx(float_file, tmp_path / "optimized.onnx", "onnxruntime-tools")
    assert operators(tmp_path / "optimized.onnx") == ["Conv", "BatchNormalization", "Identity", "Relu"]
    assert "onnxruntime_tools.optimizer_cli" not in sys.modules
    assert sorted(path.name for path in tmp_path.iterdir()) == ["float.onnx", "optimized.onnx", "site"]


@pytest.mark.skipif(find_spec("onnxruntime_tools") is None, reason="the extra onnxruntime-tools is not installed")
def test_the_real_onnxruntime_tools(float_file: Path, tmp_path: Path) -> None:
    optimize_onnx(float_file, tmp_path / "optimized.onnx", "onnxruntime-tools")
    assert operators(tmp_path / "optimized.onnx") == ["Conv", "Relu"]
    np.testing.assert_allclose(run(tmp_path / "optimized.onnx"), run(float_file), rtol=0, atol=FOLDING)


def test_onnxruntime_tools_gives_up(float_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_tool(tmp_path, FAILING_TOOL, monkeypatch)
    with pytest.raises(InputError, match=r'(?s)gave up.*IndexError: list index.*`optimizer="onnxruntime"`'):
        optimize_onnx(float_file, tmp_path / "optimized.onnx", "onnxruntime-tools")
    assert not (tmp_path / "optimized.onnx").exists()


def test_onnxruntime_tools_missing(float_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fxpasses.export.onnx_writer.optimizer.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'(?s)not installed.*pip install "fxpasses\[onnxruntime-tools\]"'):
        optimize_onnx(float_file, tmp_path / "optimized.onnx", "onnxruntime-tools")


def test_unknown_tool(float_file: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"(?s)'olive'.*one of onnxruntime, onnxruntime-tools, none"):
        optimize_onnx(float_file, tmp_path / "optimized.onnx", cast("Optimizer", "olive"))


def test_quantized_file(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("QuantizeLinear", ["x", "scale"], ["y"])],
        "quantized",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, [2])],
        [numpy_helper.from_array(np.float32(0.5), "scale")],
    )
    path = saved(graph, tmp_path / "int8.onnx")
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"(?s)quantized \(operator QuantizeLinear\).*float file"):
        optimize_onnx(path, path)
    assert path.read_bytes() == before


def test_refused_by_onnxruntime(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("NoSuchOperator", ["x"], ["y"])],
        "strange",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
    )
    with pytest.raises(InputError, match=r"(?s)onnxruntime refuses the file.*NoSuchOperator"):
        optimize_onnx(saved(graph, tmp_path / "strange.onnx"), tmp_path / "optimized.onnx")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file .*absent\.onnx"):
        optimize_onnx(tmp_path / "absent.onnx", tmp_path / "optimized.onnx")


def test_not_an_onnx_file(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(InputError, match=r"text\.onnx is not an ONNX file"):
        optimize_onnx(tmp_path / "text.onnx", tmp_path / "optimized.onnx")


def test_destination_that_cannot_be_written(float_file: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"a part of the path is a file"):
        optimize_onnx(float_file, tmp_path / "file" / "optimized.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "float.onnx"]


def test_failure_leaves_the_destination_as_it_was(
    float_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_tool(tmp_path, FAILING_TOOL, monkeypatch)
    before = float_file.read_bytes()
    with pytest.raises(InputError, match="gave up"):
        optimize_onnx(float_file, float_file, "onnxruntime-tools")
    assert float_file.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["float.onnx", "site"]
