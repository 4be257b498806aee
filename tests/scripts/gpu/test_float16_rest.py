"""Float16 for chosen nodes: results near float32, types of inputs and outputs kept, constants stay finite."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from gpu.float16_rest import to_float16
from onnx import parser

TEXT = """
<ir_version: 10, opset_import: ["" : 18]>
net (float[N, 2, 4, 4] x) => (float[N, 2, 8, 8] y, float[N, 2, 4, 4] z, int64[4] sizes)
<float[1] mask = {-3.4e38}, float[0] roi = {}, float[4] scales = {1.0, 1.0, 2.0, 2.0}, float[1] none = {0.0}>
{
    sizes = Shape(x)
    a = Relu(x)
    up = Resize <mode: string = "nearest"> (a, roi, scales)
    y = Softmax <axis: int = 1> (up)
    b = Max(a, mask)
    c = Sqrt(b)
    z = Add(c, none)
}
"""
NODES = ("Relu", "Resize", "Softmax", "Max", "Sqrt", "Shape")


@pytest.fixture
def halved() -> onnx.ModelProto:
    model = ir.from_proto(onnx.shape_inference.infer_shapes(parser.parse_model(TEXT)))
    to_float16(model.graph, [node for node in model.graph if node.op_type in NODES])
    written = ir.to_proto(model)
    onnx.checker.check_model(written, full_check=True)
    return written


def run(model: onnx.ModelProto) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).normal(size=(3, 2, 4, 4)).astype(np.float32)
    return list(session.run(None, {"x": x}))


def test_results_are_near_and_keep_their_names_and_types(halved: onnx.ModelProto) -> None:
    before, after = run(parser.parse_model(TEXT)), run(halved)
    assert [value.name for value in halved.graph.output] == ["y", "z", "sizes"]
    for one, other in zip(before, after, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, atol=2e-3)
    assert any((one != other).any() for one, other in zip(before, after, strict=True)), "nothing was rounded to float16"


def test_chosen_nodes_alone_are_float16(halved: onnx.ModelProto) -> None:
    inferred = onnx.shape_inference.infer_shapes(halved)
    kinds = {value.name: value.type.tensor_type.elem_type for value in inferred.graph.value_info}
    kinds |= {value.name: value.type.tensor_type.elem_type for value in inferred.graph.output}
    made = {node.op_type: kinds[node.output[0]] for node in halved.graph.node if node.op_type != "Cast"}
    half, whole = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    halves = dict.fromkeys(("Relu", "Resize", "Softmax", "Max", "Sqrt"), half)
    assert made == {"Shape": onnx.TensorProto.INT64, "Add": whole, **halves}


def test_no_cast_stands_between_two_float16_nodes(halved: onnx.ModelProto) -> None:
    made = {name: node.op_type for node in halved.graph.node for name in node.output}
    casts = [(made.get(node.input[0], "input"), node.output[0]) for node in halved.graph.node if node.op_type == "Cast"]
    assert len(casts) == 3  # the input, y, and what Add reads
    assert [source for source, _ in casts if source == "Cast"] == []


def test_constants_stay_finite(halved: onnx.ModelProto) -> None:
    held = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in halved.graph.initializer}
    assert held["mask_float16"].dtype == np.float16
    assert np.isfinite(held["mask_float16"]).all()
    assert held["scales"].dtype == np.float32
