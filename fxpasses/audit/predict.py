"""Predict for every float operator of a graph with Q/DQ pairs, from rules alone, whether it becomes int8."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .edges import DROPPED, Edges
from .onnx_graph import Node, OnnxGraph
from .product_rules import MATRIX_RANK, bias_add, bias_scale_error
from .rules import RULES

Fate = Literal["int8", "float", "gone"]

NO_RULE = {
    "BatchNormalization": "fold it into the convolution or linear layer before it",
    "ConvTranspose": "onnxruntime has no int8 kernel for it",
    "GlobalMaxPool": "use ReduceMax over the spatial axes",
    "HardSigmoid": "use Add with a scaled DequantizeLinear, clamped by its QuantizeLinear",
    "HardSwish": "use Mul with a HardSigmoid, written as Add clamped by its QuantizeLinear",
    "Pad": "pad the integers themselves, between QuantizeLinear and DequantizeLinear, with the zero_point",
    "ReduceMean": "use GlobalAveragePool",
    "Sub": "use Add, the scale of the second DequantizeLinear negated",
    "Sum": "use Add",
    "Tanh": "use Sigmoid of the doubled scale, its integers read as scale 1/128, zero_point 128",
}
_MAX_POOL_OPSET = 12
_EXACT_SCALE = 1e-4
"""Largest relative distance of a bias scale from input scale * weight scale that rounding can explain."""


@dataclass(frozen=True)
class Verdict:
    """The prediction for one operator.

    Attributes:
        name, op: the operator, as in the file.
        fate: ``"int8"``, ``"float"``, or ``"gone"``: merged into another operator or dropped.
        reason: why it stays in float.
        becomes: the integer operator; the operator itself if it only moves integers.
        trouble: how the values of the fused operator differ from those of the file.
    """

    name: str
    op: str
    fate: Fate
    reason: str | None = None
    becomes: str = ""
    trouble: str | None = None

    def __str__(self) -> str:
        return f"{self.op} '{self.name}'"


def predict(graph: OnnxGraph) -> dict[str, Verdict]:
    """A prediction for each float operator, by its name."""
    edges = Edges(graph)
    merged = {add for node in graph.of("MatMul") if (add := bias_add(edges, node)) is not None}
    verdicts: dict[str, Verdict] = {}
    for node in graph.nodes:
        if not graph.computes_in_float(node):
            continue
        gone = node in merged or node.op in DROPPED or edges.folds_into_reader(node)
        verdicts[node.name] = Verdict(node.name, node.op, "gone") if gone else _verdict(edges, node)
    return verdicts


def double_pairs(graph: OnnxGraph) -> list[str]:
    """Two Q/DQ pairs in a row with different parameters, which onnxruntime merges, so that it rounds only once."""
    found = []
    for second in graph.of("QuantizeLinear"):
        between = graph.producer.get(second.input(0))
        if between is None or between.op != "DequantizeLinear" or len(graph.readers(between.outputs[0])) != 1:
            continue
        first = graph.producer.get(between.input(0))
        if first is None or first.op != "QuantizeLinear" or len(graph.readers(first.outputs[0])) != 1:
            continue
        if not graph.grid(first).same_as(graph.grid(second)):
            found.append(
                f"{first} and {second} follow one another on different grids; onnxruntime rounds once, not twice"
            )
    return found


def own_quantization(graph: OnnxGraph) -> list[str]:
    """Float biases that onnxruntime quantizes itself; other runtimes may not do so."""
    edges = Edges(graph)
    found = []
    for node in graph.of("Conv", "Gemm"):
        quantized = edges.dequantized(node.input(0)) is not None and edges.written(node).quantize is not None
        if quantized and node.input(2) in graph.constants:
            found.append(f"{node} has a float bias; onnxruntime rounds it to int32 itself, other runtimes may not")
    return found


def _verdict(edges: Edges, node: Node) -> Verdict:
    if node.op in ("Relu", "Clip"):
        reason = edges.vanishes(node)
        return Verdict(node.name, node.op, "float" if reason else "gone", reason)
    rule = RULES.get(node.op)
    if rule is None:
        remedy = NO_RULE.get(node.op)
        reason = f"{node.op} has no int8 rule" + (f": {remedy}" if remedy else "")
        return Verdict(node.name, node.op, "float", reason)
    if node.op == "MaxPool" and edges.graph.opset < _MAX_POOL_OPSET:
        return Verdict(node.name, node.op, "float", f"MaxPool has an int8 rule from opset {_MAX_POOL_OPSET} on")
    reason = rule.why_not(edges, node)
    if reason:
        return Verdict(node.name, node.op, "float", reason)
    return Verdict(node.name, node.op, "int8", None, rule.becomes or node.op, trouble(edges, node))


def trouble(edges: Edges, node: Node) -> str | None:
    """Description of how the fused integer operator differs from the float operator between Q/DQ pairs, or None."""
    if node.op not in ("Conv", "Gemm", "MatMul"):
        return None
    read, weight = edges.grid_read(node.input(0)), edges.grid_read(node.input(1))
    if weight is None:
        return "its weight is float: onnxruntime quantizes it itself, per tensor"
    if read is not None and not read.per_tensor:
        return "its input is quantized per channel: the integer operator fails when it runs"
    if node.op == "Conv" and not weight.per_tensor and weight.axis != 0:
        return f"its weight is quantized along axis {weight.axis}; QLinearConv takes the scales for axis 0"
    add = bias_add(edges, node) if node.op == "MatMul" else None
    matrix = constant_rank(edges, node) == MATRIX_RANK
    if node.op == "MatMul" and matrix and not weight.per_tensor and weight.axis % MATRIX_RANK != 1:
        return f"its weight is quantized along axis {weight.axis}, not along its outputs: it fails when it runs"
    bias = next((tensor for tensor in add.inputs if tensor != node.outputs[0]), "") if add else ""
    return _bias_trouble(edges, node, bias or (node.input(2) if node.op != "MatMul" else ""))


def _bias_trouble(edges: Edges, node: Node, tensor: str) -> str | None:
    bias = edges.grid_read(tensor) if tensor else None
    if bias is None:
        return None
    if bias.zero_point is not None and bias.zero_point.any():
        return "its bias has a zero_point other than 0, which is ignored"
    off = bias_scale_error(edges, node, bias)
    if off is None or off > _EXACT_SCALE:
        return "its bias is not on the grid input scale * weight scale; its own scale is ignored"
    return None


def constant_rank(edges: Edges, node: Node) -> int:
    """The number of dimensions of a constant weight; 0 if it is not constant."""
    source = edges.dequantized(node.input(1))
    return len(edges.graph.shape(source.input(0)) or ()) if source else 0
