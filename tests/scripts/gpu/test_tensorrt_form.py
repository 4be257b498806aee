"""Files for TensorRT: symmetric, no int32 bias, int8 layers between Q/DQ pairs, everything else in float16."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from gpu.tensorrt_form import LAYERS, to_tensorrt_form
from tiny_graphs import fresh_inputs, quantized
from tiny_nets.all_nets import TINY

import fxpasses
from fxpasses.quantization.config import QuantConfig

NETS = ("attention", "residual_block", "attention_in_windows")


@pytest.fixture(scope="module", params=NETS)
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Path]:
    folder, graph = tmp_path_factory.mktemp("tensorrt"), quantized(request.param, QuantConfig(target="cuda"))
    source = fxpasses.export.to_onnx(graph, folder / "qdq.onnx", verify=False)
    return request.param, source, to_tensorrt_form(source, folder / "tensorrt.onnx")


def outputs(name: str, file: Path) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    inputs = fresh_inputs(TINY[name], 1)
    return list(
        session.run(None, {given.name: x.numpy() for given, x in zip(session.get_inputs(), inputs, strict=True)})
    )


def kinds(model: onnx.ModelProto) -> dict[str, int]:
    graph = onnx.shape_inference.infer_shapes(model).graph
    return {value.name: value.type.tensor_type.elem_type for value in [*graph.value_info, *graph.output, *graph.input]}


def test_it_computes_what_the_file_computes(files: tuple[str, Path, Path]) -> None:
    name, source, form = files
    for one, other in zip(outputs(name, source), outputs(name, form), strict=True):
        assert one.dtype == other.dtype == np.float32
        noise = float(np.linalg.norm(one - other))
        assert noise <= 0.02 * float(np.linalg.norm(one))


def test_scales_are_the_same_and_zero_points_are_zero(files: tuple[str, Path, Path]) -> None:
    _, source, form = files
    before, after = onnx.load(source), onnx.load(form)
    held = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in before.graph.initializer}
    kept = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in after.graph.initializer}
    grids = [node for node in after.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert grids
    for node in grids:
        np.testing.assert_array_equal(kept[node.input[1]], held[node.input[1]])
        assert len(node.input) < 3 or not kept[node.input[2]].any()
        assert node.input[0] not in kept or kept[node.input[0]].dtype == np.int8


def test_layers_of_integers_stay_between_their_pairs_and_the_rest_is_float16(files: tuple[str, Path, Path]) -> None:
    name, _, form = files
    model = onnx.load(form)
    types, made = kinds(model), {value: node for node in model.graph.node for value in node.output}
    layers = [
        node for node in model.graph.node if node.op_type in LAYERS and types[node.output[0]] == onnx.TensorProto.FLOAT
    ]
    assert layers
    for layer in layers:
        assert made[layer.input[1]].op_type == "DequantizeLinear"
    floats = {node.op_type for node in model.graph.node if types[node.output[0]] == onnx.TensorProto.FLOAT16} - {"Cast"}
    assert ("Softmax" in floats) == name.startswith("attention")
