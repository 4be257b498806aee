"""A Q/DQ file in the form that TensorRT 11 takes: symmetric grids with zero point 0, and biases as plain floats.

Files for ``target="cuda"`` are symmetric already, residual inputs included. Their biases come from a DequantizeLinear
of int32, which TensorRT refuses: each is replaced by its float values.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper


def to_tensorrt_form(source: Path, path: Path) -> Path:
    """Write ``source`` with its int32 biases dequantized."""
    model = onnx.load(source)
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in list(model.graph.node):
        first = held.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        if first is None or first.data_type != onnx.TensorProto.INT32:
            continue
        values = numpy_helper.to_array(first).astype(np.float32) * numpy_helper.to_array(held[node.input[1]])
        model.graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), node.output[0]))
        model.graph.node.remove(node)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path
