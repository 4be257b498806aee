"""Small ONNX graphs with Q/DQ pairs, built by hand, to test what onnxruntime does with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SCALE = 0.05
OPSET = 17
IR_VERSION = 8  # read by every onnxruntime that reads opset 17

U8, S8 = np.uint8, np.int8


def weights(*shape: int) -> NDArray[np.float32]:
    """Weights that are the same at every call, without special values."""
    return np.random.default_rng(1).normal(scale=0.2, size=shape).astype(np.float32)


class Graph:
    """A graph under construction. Every method adds a node and returns the name of its output."""

    def __init__(self, opset: int = OPSET) -> None:
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []

    def input(self, *shape: int | str, name: str = "x", dtype: int = TensorProto.FLOAT) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def const(self, value: Any) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def ints(self, *values: int) -> str:
        return self.const(np.array(values, np.int64))

    def node(self, op: str, inputs: Sequence[str], outputs: int = 1, name: str | None = None, **attributes: Any) -> Any:
        """Name of the output; a list if there are several. Nodes are named by their operator: Conv, Conv_2."""
        same = sum(node.op_type == op for node in self.nodes)
        name = (f"{op}_{same + 1}" if same else op) if name is None else name
        made = [f"{op.lower()}{len(self.nodes)}.{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), made, name=name, **attributes))
        return made[0] if outputs == 1 else made

    def q(self, x: str, scale: float | NDArray[Any] = SCALE, zero: int | None = 128, dtype: Any = U8) -> str:
        grid = [self.const(np.float32(scale))] + ([] if zero is None else [self.const(dtype(zero))])
        return str(self.node("QuantizeLinear", [x, *grid]))

    def dq(self, x: str, scale: float = SCALE, zero: int | None = 128, dtype: Any = U8) -> str:
        grid = [self.const(np.float32(scale))] + ([] if zero is None else [self.const(dtype(zero))])
        return str(self.node("DequantizeLinear", [x, *grid]))

    def qdq(self, x: str, scale: float = SCALE, zero: int | None = 128, dtype: Any = U8) -> str:
        return self.dq(self.q(x, scale, zero, dtype), scale, zero, dtype)

    def weight(
        self, value: NDArray[np.float32], axis: int | None = 0, zero: bool = True, dtype: Any = S8
    ) -> tuple[str, NDArray[np.float32]]:
        """A dequantized weight and its scales: per channel along ``axis``, per tensor if that is None."""
        rest = None if axis is None else tuple(a for a in range(value.ndim) if a != axis)
        scales = np.asarray(np.abs(value).max(axis=rest) / 127, np.float32)
        spread = scales if axis is None else np.expand_dims(scales, rest or ())
        integers = np.clip(np.rint(value / spread), -127, 127).astype(dtype)
        inputs = [self.const(integers), self.const(scales)]
        inputs += [self.const(np.zeros(scales.shape, dtype))] if zero else []
        attributes: dict[str, Any] = {} if axis is None else {"axis": axis}
        return str(self.node("DequantizeLinear", inputs, **attributes)), scales

    def bias(self, scales: NDArray[np.float32], off: float = 1.0, zero: int | None = 0, dtype: Any = np.int32) -> str:
        """A dequantized bias; on the grid of an input of ``SCALE`` unless ``off`` is other than 1."""
        grid = (np.float32(SCALE) * scales * np.float32(off)).astype(np.float32)
        integers = np.arange(grid.size).reshape(grid.shape).astype(dtype)
        inputs = [self.const(integers), self.const(grid)]
        inputs += [] if zero is None else [self.const(np.full(grid.shape, zero, dtype))]
        return str(self.node("DequantizeLinear", inputs, axis=0))

    def output(self, *tensors: str, dtype: int = TensorProto.FLOAT) -> None:
        for tensor in tensors:
            self.outputs.append(helper.make_tensor_value_info(tensor, dtype, None))

    def model(self, **metadata: str) -> onnx.ModelProto:
        graph = helper.make_graph(self.nodes, "graph", self.inputs, self.outputs, self.constants)
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        helper.set_model_props(model, metadata)
        return model


def image(graph: Graph, name: str = "x", **grid: Any) -> str:
    """A quantized 4-channel 8x8 input, dequantized."""
    return graph.qdq(graph.input(1, 4, 8, 8, name=name), **grid)


def conv(graph: Graph, x: str, channels_in: int = 4, **attributes: Any) -> str:
    """A float Conv 3x3 with int8 weights and an int32 bias, 4 channels out."""
    weight, scales = graph.weight(weights(4, channels_in, 3, 3))
    return str(graph.node("Conv", [x, weight, graph.bias(scales)], pads=[1] * 4, **attributes))


def conv_net(**metadata: str) -> onnx.ModelProto:
    """A net of all usual parts: conv-relu, residual add, pool, concat, linear head."""
    graph = Graph()
    first = graph.qdq(graph.node("Relu", [conv(graph, image(graph))]), zero=0)
    second = graph.qdq(conv(graph, first))
    added = graph.qdq(graph.node("Add", [first, second]), 0.07)
    pooled = graph.qdq(graph.node("MaxPool", [added], kernel_shape=[2, 2], strides=[2, 2]), 0.07)
    both = graph.qdq(graph.node("Concat", [pooled, pooled], axis=1), 0.07)
    mean = graph.qdq(graph.node("GlobalAveragePool", [both]))
    flat = graph.qdq(graph.node("Flatten", [mean]))
    weight, scales = graph.weight(weights(10, 8))
    graph.output(graph.node("Gemm", [flat, weight, graph.bias(scales)], transB=1))
    return graph.model(**metadata)
