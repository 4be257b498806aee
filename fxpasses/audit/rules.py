"""Rules for which operators onnxruntime's CPU provider fuses to int8, and what keeps an operator in float.

They are based on its sources (core/optimizer/qdq_transformer) and on the results of 1.31.1 for some 200 small graphs at
opsets 13 to 26, among which the opset made no difference. Each rule is a function that returns the reason against the
fusion; ``RULES`` lists the rule of each operator. An operator without a rule stays in float.

A rule may also find *trouble*: the operator is fused, but then computes other values than the file specifies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fxpasses.cpu import is_arm

from .edges import PUSHED_THROUGH, Edges
from .onnx_graph import INT8, Grid, Node
from .product_rules import following_bias, why_not_conv, why_not_gemm, why_not_matmul, why_not_types, why_not_zero_point

WhyNot = Callable[[Edges, Node], str | None]


@dataclass(frozen=True)
class Rule:
    """Rule for the fusion of an operator.

    Attributes:
        becomes: the fused operator; empty if the operator itself runs on integers.
        why_not: reason for a node of the graph not to be fused, or None.
    """

    becomes: str
    why_not: WhyNot


def why_not_arithmetic(edges: Edges, node: Node) -> str | None:
    """Conditions of operators with an int8 kernel that rescales: all inputs dequantized, the output quantized."""
    unread = (edges.why_not_read(node, index) for index in range(len(node.inputs)))
    return next(filter(None, unread), None) or edges.written(node).reason or why_not_types(edges, node)


def why_not_add(edges: Edges, node: Node) -> str | None:
    makers = (edges.graph.producer.get(tensor) for tensor in node.inputs)
    if any(maker and maker.op == "MatMul" and following_bias(edges, maker) is node for maker in makers):
        return "a bias is merged with its MatMul only if the shape is fixed: use Reshape, Gemm, Reshape"
    return why_not_arithmetic(edges, node)


def why_not_unary(edges: Edges, node: Node) -> str | None:
    return edges.why_not_read(node, 0) or edges.written(node).reason or why_not_types(edges, node)


def why_not_where(edges: Edges, node: Node) -> str | None:
    """Conditions of Where: both branches dequantized, or one is a scalar constant that onnxruntime quantizes."""
    unread = {index: edges.why_not_read(node, index) for index in (1, 2)}
    failing = [index for index, reason in unread.items() if reason]
    scalars = [index for index in failing if edges.graph.shape(node.input(index)) == ()]
    if failing and not (len(failing) == 1 and scalars):
        return unread[failing[0]]
    return edges.written(node).reason


def why_not_moved(edges: Edges, node: Node) -> str | None:
    """Conditions of operators that only move integers: the same parameters before and after."""
    source, written = edges.dequantized(node.input(0)), edges.written(node)
    if source is None and node.op in PUSHED_THROUGH and written.quantize is not None:
        return None if edges.reads_alone(node) else f"{edges.why_not_read(node, 0)}, and others read that too"
    if source is None:
        return edges.why_not_read(node, 0)
    grid = edges.graph.grid(source)
    if not grid.per_tensor or grid.zero_point is None:
        return f"the DequantizeLinear before it {'has no zero_point input' if grid.per_tensor else 'is not per tensor'}"
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
    """Conditions of Gather: those of :func:`why_not_moved`, and on x86, where int8 becomes uint8, no int8 table."""
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
    """Reason why integers cannot pass unchanged to ``quantize``: its parameters differ. None if they are equal."""
    written = edges.graph.grid(quantize)
    if written.zero_point is None:
        return "the QuantizeLinear behind it has no zero_point input"
    return None if read.same_as(written) else f"grids before and after it differ: {read} and {written}"


_MOVING = ("Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "GatherElements", "Expand")
_MOVING_TOO = ("Tile", "DepthToSpace", "ReduceMax", "ReduceMin")
RULES: dict[str, Rule] = {
    "Conv": Rule("QLinearConv", why_not_conv),
    "Gemm": Rule("QGemm", why_not_gemm),
    "MatMul": Rule("QLinearMatMul", why_not_matmul),
    "Add": Rule("QLinearAdd", why_not_add),
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
