"""What onnxruntime's CPU provider fuses to int8, and what keeps an operator in float.

Written from its sources (core/optimizer/qdq_transformer) and from what 1.31.1 did to some 200 small graphs at opsets 13
to 26, among which the opset made no difference. Each rule is a function that says why not; ``RULES`` says which rule
holds for which operator. An operator without a rule stays in float.

A rule may also find *trouble*: the operator is fused, but to other numbers than the file means.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .audit_edges import PUSHED_THROUGH, Edges
from .audit_graph import INT8, INT16, INT32, TYPE_NAMES, UINT16, Grid, Node
from .environment import is_arm

WhyNot = Callable[[Edges, Node], str | None]

_BIAS_SCALE_TOLERANCE = 0.01  # measured: 1.01 is accepted, 1.02 is not
_NO_ZERO_POINT = "has no zero_point input"


@dataclass(frozen=True)
class Rule:
    """How an operator becomes integer.

    Attributes:
        becomes: the operator it becomes; empty if it stays itself, on integers.
        why_not: why a node of the graph does not.
    """

    becomes: str
    why_not: WhyNot


def why_not_conv(edges: Edges, node: Node) -> str | None:
    return (
        edges.why_not_read(node, 0)
        or why_not_weight(edges, node)
        or edges.written(node).reason
        or why_not_bias(edges, node, node.input(2))
        or why_not_types(edges, node)
    )


def why_not_gemm(edges: Edges, node: Node) -> str | None:
    """QGemm; with a float output if nothing quantizes it."""
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
    """QLinearMatMul, or MatMulIntegerToFloat if nothing quantizes the output, or QGemm with an Add of a bias."""
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
    """The Add of a constant vector that onnxruntime merges with a MatMul by a constant matrix into one Gemm."""
    readers = edges.graph.readers(node.outputs[0])
    if len(readers) != 1 or readers[0].op != "Add" or node.outputs[0] in edges.graph.outputs:
        return None
    bias = next((tensor for tensor in readers[0].inputs if tensor != node.outputs[0]), "")
    matrix, vector = constant_shape(edges, node.input(1)), constant_shape(edges, bias)
    if matrix is None or vector is None or len(matrix) != 2 or len(vector) != 1:
        return None
    return readers[0]


def constant_shape(edges: Edges, tensor: str) -> tuple[int, ...] | None:
    """The shape of a constant, dequantized or not."""
    source = edges.dequantized(tensor)
    return edges.graph.shape(source.input(0) if source else tensor)


def why_not_arithmetic(edges: Edges, node: Node) -> str | None:
    """Operators with an int8 kernel that rescales: every input dequantized, the output quantized."""
    unread = (edges.why_not_read(node, index) for index in range(len(node.inputs)))
    return next(filter(None, unread), None) or edges.written(node).reason or why_not_types(edges, node)


def why_not_unary(edges: Edges, node: Node) -> str | None:
    return edges.why_not_read(node, 0) or edges.written(node).reason or why_not_types(edges, node)


def why_not_where(edges: Edges, node: Node) -> str | None:
    """Both branches dequantized, or one of them a scalar constant, which onnxruntime quantizes itself."""
    unread = {index: edges.why_not_read(node, index) for index in (1, 2)}
    failing = [index for index, reason in unread.items() if reason]
    scalars = [index for index in failing if edges.graph.shape(node.input(index)) == ()]
    if failing and not (len(failing) == 1 and scalars):
        return unread[failing[0]]
    return edges.written(node).reason


def why_not_moved(edges: Edges, node: Node) -> str | None:
    """Operators that move integers as they are: the same grid on both sides."""
    source, written = edges.dequantized(node.input(0)), edges.written(node)
    if source is None and node.op in PUSHED_THROUGH and written.quantize is not None:
        alone = len(edges.graph.readers(node.input(0))) == 1 and node.input(0) not in edges.graph.outputs
        return None if alone else f"{edges.why_not_read(node, 0)}, and others read that too"
    if source is None:
        return edges.why_not_read(node, 0)
    grid = edges.graph.grid(source)
    if not grid.per_tensor or grid.zero_point is None:
        return f"the DequantizeLinear before it {_NO_ZERO_POINT if grid.per_tensor else 'is not per tensor'}"
    quantizers = [reader for reader in edges.graph.readers(node.outputs[0]) if reader.op == "QuantizeLinear"]
    if node.op in PUSHED_THROUGH and not quantizers:
        return None
    return written.reason or (None if written.quantize is None else why_grids_differ(edges, grid, written.quantize))


def why_not_max_pool(edges: Edges, node: Node) -> str | None:
    if len(node.outputs) > 1 and node.outputs[1]:
        return "its Indices output is used"
    return why_not_moved(edges, node)


def why_not_resize(edges: Edges, node: Node) -> str | None:
    mode = node.attributes.get("mode", b"nearest")
    mode = mode.decode() if isinstance(mode, bytes) else str(mode)
    return why_not_moved(edges, node) if mode == "nearest" else f"mode '{mode}' has no int8 rule; only 'nearest' has"


def why_not_split(edges: Edges, node: Node) -> str | None:
    source = edges.dequantized(node.input(0))
    if source is None:
        return edges.why_not_read(node, 0)
    for index in range(len(node.outputs)):
        written = edges.written(node, index)
        direct = [reader.op for reader in edges.graph.readers(node.outputs[index])] == ["QuantizeLinear"]
        if written.quantize is None or not direct:
            return f"output {index}: {written.reason or 'no QuantizeLinear reads it directly'}"
        differs = why_grids_differ(edges, edges.graph.grid(source), written.quantize)
        if differs:
            return f"output {index}: {differs}"
    return None


def why_not_gather(edges: Edges, node: Node) -> str | None:
    """As :func:`why_not_moved`; a constant int8 table does not follow when int8 pairs become uint8 on x86."""
    source = edges.dequantized(node.input(0))
    if source is not None and source.input(0) in edges.graph.constants and not is_arm():
        table = edges.graph.grid(source)
        if table.type == INT8 and edges.written(node).quantize is not None:
            return (
                "its table is int8, and int8 pairs become uint8 on x86: use uint8, or look up the integers themselves"
            )
    return why_not_moved(edges, node)


def why_not_argmax(edges: Edges, node: Node) -> str | None:
    return edges.why_not_read(node, 0) or why_not_zero_point(edges, node, (0,))


def why_grids_differ(edges: Edges, read: Grid, quantize: Node) -> str | None:
    """Why integers cannot pass unchanged from one grid to that of ``quantize``."""
    written = edges.graph.grid(quantize)
    if written.zero_point is None:
        return f"the QuantizeLinear behind it {_NO_ZERO_POINT}"
    return None if read.same_as(written) else f"grids before and after it differ: {read} and {written}"


def why_not_weight(edges: Edges, node: Node, also_float: bool = True) -> str | None:
    """Why input 1 is no integer weight. A float constant is one if the output is quantized: see ``trouble``."""
    tensor = node.input(1)
    if also_float and tensor in edges.graph.constants and edges.written(node).quantize is not None:
        return None
    return edges.why_not_read(node, 1)


def why_not_bias(edges: Edges, node: Node, tensor: str) -> str | None:
    """Why a bias is no int32 on the grid input scale * weight scale, zero point 0."""
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
    """As :func:`why_not_bias`, for Gemm, which does not look at the bias's scale."""
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
    return float(abs(bias.scale.reshape(-1) / wanted - 1).max())


def why_not_factor(node: Node) -> str | None:
    """Factors other than 1 only matter with a bias: without, alpha becomes part of the scale."""
    for name in ("alpha", "beta"):
        if node.input(2) and node.attributes.get(name, 1.0) != 1.0:
            return f"it has a bias, and its {name} is {node.attributes[name]:g}, not 1"
    return None


def why_not_zero_point(edges: Edges, node: Node, indices: tuple[int, ...]) -> str | None:
    for index in indices:
        grid = edges.grid_read(node.input(index))
        if grid is not None and grid.zero_point is None:
            return f"the DequantizeLinear of input {index} {_NO_ZERO_POINT}"
    return None


def why_not_axis(edges: Edges, node: Node) -> str | None:
    """A Gemm's weight is quantized per output: axis 0 if transposed, else 1."""
    weight = edges.grid_read(node.input(1))
    if weight is None or weight.per_tensor:
        return None
    expected = 0 if node.attributes.get("transB", 0) else 1
    axis = weight.axis % 2
    return (
        None if axis == expected else f"its weight is quantized along axis {axis}, not along its outputs ({expected})"
    )


def why_not_types(edges: Edges, node: Node) -> str | None:
    """Why the integer types on both sides have no kernel. On x86 onnxruntime turns int8 pairs to uint8 first."""
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


_MOVING = ("Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "GatherElements", "Expand")
_MOVING_TOO = ("Tile", "DepthToSpace", "ReduceMax", "ReduceMin")
RULES: dict[str, Rule] = {
    "Conv": Rule("QLinearConv", why_not_conv),
    "Gemm": Rule("QGemm", why_not_gemm),
    "MatMul": Rule("QLinearMatMul", why_not_matmul),
    "Add": Rule("QLinearAdd", why_not_arithmetic),
    "Mul": Rule("QLinearMul", why_not_arithmetic),
    "Concat": Rule("QLinearConcat", why_not_arithmetic),
    "AveragePool": Rule("QLinearAveragePool", why_not_unary),
    "GlobalAveragePool": Rule("QLinearGlobalAveragePool", why_not_unary),
    "LeakyRelu": Rule("QLinearLeakyRelu", why_not_unary),
    "Sigmoid": Rule("QLinearSigmoid", why_not_unary),
    "Softmax": Rule("QLinearSoftmax", why_not_unary),
    "Where": Rule("QLinearWhere", why_not_where),
    "Split": Rule("", why_not_split),
    "MaxPool": Rule("", why_not_max_pool),
    "Resize": Rule("", why_not_resize),
    "Gather": Rule("", why_not_gather),
    "ArgMax": Rule("", why_not_argmax),
    **dict.fromkeys((*_MOVING, *_MOVING_TOO), Rule("", why_not_moved)),
}
