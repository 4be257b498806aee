"""Reasons why a product (convolution, Gemm, MatMul) is not fused to int8: input, weight, bias, output and types."""

from __future__ import annotations

import numpy as np

from fxpasses.cpu import is_arm

from .edges import Edges
from .onnx_graph import INT16, INT32, TYPE_NAMES, UINT16, Grid, Node

MATRIX_RANK = 2
_BIAS_SCALE_TOLERANCE = 0.01  # measured: 1.01 is accepted, 1.02 is not


def why_not_conv(edges: Edges, node: Node) -> str | None:
    return (
        edges.why_not_read(node, 0)
        or why_not_weight(edges, node)
        or edges.written(node).reason
        or why_not_bias(edges, node, node.input(2))
        or why_not_types(edges, node)
    )


def why_not_gemm(edges: Edges, node: Node) -> str | None:
    """Conditions of QGemm; its output is float if no QuantizeLinear reads it."""
    written = edges.written(node)
    return (
        edges.why_not_read(node, 0)
        or why_not_weight(edges, node, also_float=not written.stays_float)
        or why_not_factor(node)
        or why_not_zero_point(edges, node, (0, 1))
        or why_not_axis(edges, node)
        or (None if written.stays_float else written.reason)
        or why_not_product_bias(edges, node, node.input(2), written.stays_float)
        or why_not_types(edges, node)
    )


def why_not_matmul(edges: Edges, node: Node) -> str | None:
    """Conditions of QLinearMatMul, of MatMulIntegerToFloat (float output), and of QGemm (with an Add of a bias)."""
    add = bias_add(edges, node)
    written = edges.written(add or node)
    bias = next((tensor for tensor in add.inputs if tensor != node.outputs[0]), "") if add else ""
    return (
        edges.why_not_read(node, 0)
        or edges.why_not_read(node, 1)
        or (None if written.stays_float else written.reason)
        or (why_not_product_bias(edges, node, bias, written.stays_float) if add else None)
        or (why_not_zero_point(edges, node, (0, 1)) if add else None)
        or why_not_types(edges, node)
    )


def bias_add(edges: Edges, node: Node) -> Node | None:
    """The Add of a bias that onnxruntime merges with a MatMul by a matrix into one Gemm.

    An input with other than two dimensions is reshaped to two and back, but only if its shape is fixed.
    """
    add = following_bias(edges, node)
    if add is None:
        return None
    rank = len(edges.graph.dimensions.get(node.input(0), ()))
    return add if rank == MATRIX_RANK or (rank and edges.graph.has_fixed_shape(node.input(0))) else None


def following_bias(edges: Edges, node: Node) -> Node | None:
    """The Add of a constant vector that is the only reader of a MatMul by a constant matrix."""
    readers = edges.graph.readers(node.outputs[0])
    if len(readers) != 1 or readers[0].op != "Add" or node.outputs[0] in edges.graph.outputs:
        return None
    bias = next((tensor for tensor in readers[0].inputs if tensor != node.outputs[0]), "")
    matrix, vector = constant_shape(edges, node.input(1)), constant_shape(edges, bias)
    if matrix is None or vector is None or len(matrix) != MATRIX_RANK or len(vector) != 1:
        return None
    return readers[0]


def constant_shape(edges: Edges, tensor: str) -> tuple[int, ...] | None:
    """The shape of a constant, dequantized or not."""
    source = edges.dequantized(tensor)
    return edges.graph.shape(source.input(0) if source else tensor)


def why_not_weight(edges: Edges, node: Node, also_float: bool = True) -> str | None:
    """Reason why input 1 is no integer weight, or None. A float constant counts as one if the output is quantized."""
    tensor = node.input(1)
    if also_float and tensor in edges.graph.constants and edges.written(node).quantize is not None:
        return None
    return edges.why_not_read(node, 1)


def why_not_bias(edges: Edges, node: Node, tensor: str) -> str | None:
    """Reason why a bias is not int32 with scale = input scale * weight scale and zero point 0, or None."""
    if not tensor:
        return None
    grid = edges.grid_read(tensor)
    if grid is None:
        if edges.graph.shape(tensor) is not None and len(edges.graph.shape(tensor) or ()) == 1:
            return None  # a float constant: onnxruntime quantizes it itself, as the output is quantized
        return "its bias is computed in float, not an int32 DequantizeLinear"
    if grid.type != INT32:
        return f"its bias is {TYPE_NAMES.get(grid.type, grid.type)}, not int32"
    if grid.zero_point is not None and grid.zero_point.any():
        return "its bias has a zero_point other than 0"
    off = bias_scale_error(edges, node, grid)
    if off is None or off > _BIAS_SCALE_TOLERANCE:
        return "its bias is not on the grid input scale * weight scale"
    return None


def why_not_product_bias(edges: Edges, node: Node, tensor: str, stays_float: bool) -> str | None:
    """Reason why the bias of a Gemm prevents a fusion, or None; its scale does not matter."""
    if not tensor:
        return None
    grid = edges.grid_read(tensor)
    if grid is not None:
        return None if grid.type == INT32 else f"its bias is {TYPE_NAMES.get(grid.type, grid.type)}, not int32"
    if tensor not in edges.graph.constants:
        return "its bias is computed in float, not an int32 DequantizeLinear"
    return "its bias is float, not an int32 DequantizeLinear, and its output is float" if stays_float else None


def bias_scale_error(edges: Edges, node: Node, bias: Grid) -> float | None:
    """The largest relative distance of a bias's scale from input scale * weight scale; None if not comparable."""
    read, weight = edges.grid_read(node.input(0)), edges.grid_read(node.input(1))
    if read is None or weight is None or read.scale is None or weight.scale is None or bias.scale is None:
        return None
    wanted = read.scale.reshape(-1)[0] * weight.scale.reshape(-1)
    if bias.scale.size != wanted.size:
        return None
    with np.errstate(all="ignore"):  # a damaged file may have any scales; infinity counts as wrong, too
        return float(abs(bias.scale.reshape(-1) / wanted - 1).max())


def why_not_factor(node: Node) -> str | None:
    """Reason for a Gemm to stay in float: a factor other than 1 with a bias; otherwise the scale contains alpha."""
    for name in ("alpha", "beta"):
        if node.input(2) and node.attributes.get(name, 1.0) != 1.0:
            return f"it has a bias, and its {name} is {node.attributes[name]:g}, not 1"
    return None


def why_not_zero_point(edges: Edges, node: Node, indices: tuple[int, ...]) -> str | None:
    for index in indices:
        grid = edges.grid_read(node.input(index))
        if grid is not None and grid.zero_point is None:
            return f"the DequantizeLinear of input {index} has no zero_point input"
    return None


def why_not_axis(edges: Edges, node: Node) -> str | None:
    """Reason for a Gemm to stay in float: its weight is not quantized per output (axis 0 if transposed, else 1)."""
    weight = edges.grid_read(node.input(1))
    if weight is None or weight.per_tensor:
        return None
    expected = 0 if node.attributes.get("transB", 0) else 1
    axis = weight.axis % 2
    return (
        None if axis == expected else f"its weight is quantized along axis {axis}, not along its outputs ({expected})"
    )


def why_not_types(edges: Edges, node: Node) -> str | None:
    """Reason why the integer types have no kernel, or None. On x86 onnxruntime first turns int8 pairs to uint8."""
    quantize = edges.written(node).quantize
    grids = [edges.grid_read(tensor) for tensor in node.inputs[:2] if tensor]
    types = [grid.type for grid in grids if grid is not None]
    types += [edges.graph.grid(quantize).type] if quantize is not None else []
    wide = [TYPE_NAMES[kind] for kind in types if kind in (INT16, UINT16)]
    if wide:
        return f"{wide[0]} has no kernel; only 8 bits have"
    if is_arm() and quantize is not None and types[0] != types[-1]:
        return f"its input is {TYPE_NAMES.get(types[0])}, its output {TYPE_NAMES.get(types[-1])}"
    return None
