"""A Q/DQ file in the form that TensorRT 11 takes: symmetric, biases as plain floats, what is not int8 in float16.

Files for ``target="cuda"`` are symmetric already, residual inputs included. Their biases come from a DequantizeLinear
of int32, which TensorRT refuses: each is replaced by its float values. TensorRT 11 runs every node in the type that the
file gives it, so that a float32 softmax would stay float32: :mod:`gpu.float16_rest` writes float16 there. Layers
between Q/DQ pairs keep float32 and their scales, and run in int8.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from onnx import numpy_helper
from onnx_ir.passes.common import RemoveUnusedNodesPass

from .float16_rest import to_float16

LAYERS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""Operators that run in int8 where all they read is dequantized; results that are not quantized again are float."""
BETWEEN = frozenset({
    "Add", "AveragePool", "Clip", "Concat", "Expand", "Flatten", "GlobalAveragePool", "Identity", "MaxPool", "Mul",
    "Pad", "ReduceMean", "Relu", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze",
})  # fmt: skip
"""Operators that run in int8 where, besides, all that reads them is quantized."""
GRIDS = frozenset({"QuantizeLinear", "DequantizeLinear"})


def to_tensorrt_form(source: Path, path: Path) -> Path:
    """Write ``source`` with its int32 biases dequantized and its float rest in float16."""
    model = onnx.load(source)
    _dequantize_biases(model.graph)
    typed = ir.from_proto(onnx.shape_inference.infer_shapes(model))
    kept = int8_nodes(typed.graph)
    to_float16(typed.graph, [node for node in typed.graph if node not in kept])
    written = ir.to_proto(RemoveUnusedNodesPass()(typed).model)
    onnx.checker.check_model(written, full_check=True)
    onnx.save(written, path)
    return path


def _dequantize_biases(graph: onnx.GraphProto) -> None:
    held = {tensor.name: tensor for tensor in graph.initializer}
    for node in list(graph.node):
        first = held.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        if first is None or first.data_type != onnx.TensorProto.INT32:
            continue
        values = numpy_helper.to_array(first).astype(np.float32) * numpy_helper.to_array(held[node.input[1]])
        graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), node.output[0]))
        graph.node.remove(node)


def int8_nodes(graph: ir.Graph) -> set[ir.Node]:
    """Q, DQ, and what TensorRT runs in int8 between them."""
    fused = {node for node in graph if node.op_type in LAYERS | BETWEEN}
    results = set(graph.outputs)

    def holds(node: ir.Node) -> bool:
        sources = [value.producer() for value in node.inputs if value is not None]
        made = [source for source in sources if source is not None]
        if not made or not all(source.op_type == "DequantizeLinear" or source in fused for source in made):
            return False
        readers = [reader for value in node.outputs for reader, _ in value.uses()]
        quantized = all(reader.op_type == "QuantizeLinear" or reader in fused for reader in readers)
        return node.op_type in LAYERS or (quantized and not results & set(node.outputs))

    while lost := {node for node in fused if not holds(node)}:
        fused -= lost
    return fused | {node for node in graph if node.op_type in GRIDS}
