"""Store the weights of a float ONNX file as bfloat16, each with a Cast to float32.

onnxruntime's CPU provider has no kernel that computes in bfloat16, but can read it: the file is half as large, the
casts are folded when it is loaded, and all arithmetic is float32. Exact: only tensors whose values are all bfloat16
numbers are stored in this way (:func:`fxpasses.precision.half.rounded_to_half` makes them so).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from ..files import atomic_write
from ..onnx_reader import read_onnx

_LOWER_HALF = np.uint32(0xFFFF)
_SMALLEST = 2
"""Fewest values of a tensor for which a Cast is worth its bytes."""


def store_as_bfloat16(path: Path) -> list[str]:
    """Rewrite a float ONNX file in place; return the names of the weights that are now bfloat16.

    Raises:
        InputError: the file cannot be read or written.
    """
    model = read_onnx(path)
    casts, names = [], []
    for tensor in model.graph.initializer:
        bits = _bfloat16_bits(tensor)
        if bits is None:
            continue
        names.append(tensor.name)
        stored = f"{tensor.name}_bf16"
        casts.append(onnx.helper.make_node("Cast", [stored], [tensor.name], to=onnx.TensorProto.FLOAT))
        shape = list(tensor.dims)
        tensor.Clear()
        tensor.name, tensor.data_type, tensor.raw_data = stored, onnx.TensorProto.BFLOAT16, bits.tobytes()
        tensor.dims.extend(shape)
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    with atomic_write(path) as temporary:
        temporary.write_bytes(model.SerializeToString())
    return names


def _bfloat16_bits(tensor: onnx.TensorProto) -> np.ndarray | None:
    """The upper halves of float32 values, little-endian, if all lower halves are zero; else None."""
    if tensor.data_type != onnx.TensorProto.FLOAT:
        return None
    values = onnx.numpy_helper.to_array(tensor)
    bits = np.ascontiguousarray(values).view(np.uint32)
    if values.size < _SMALLEST or np.any(bits & _LOWER_HALF):
        return None
    upper: np.ndarray = (bits >> np.uint32(16)).astype("<u2")
    return upper
