"""Operators that an older opset lacks, written as several that it has."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ..onnx_forms.edit import add_constant, take_place
from .rewrites import constant_of, input_at, named, rank_of


class _Nodes:
    """Adds nodes in front of one that they replace; ``last`` takes its place and its output's name."""

    def __init__(self, model: ir.Model, node: ir.Node) -> None:
        self.model, self.node, self.count = model, node, 0

    def constant(self, part: str, value: np.ndarray) -> ir.Value:
        return add_constant(self.model, named(self.node, part), value)

    def add(self, op_type: str, *inputs: ir.Value | None, **attributes: float | int | list[int]) -> ir.Value:
        self.count += 1
        made = ir.node(op_type, inputs, attributes, name=f"{self.node.name}_{self.count}")
        made.outputs[0].name = named(self.node, str(self.count))
        assert self.node.graph is not None
        self.node.graph.insert_before(self.node, made)
        return made.outputs[0]

    def last(self, op_type: str, *inputs: ir.Value | None, **attributes: float | int | list[int]) -> None:
        take_place(self.node, ir.node(op_type, inputs, attributes, name=self.node.name))


def why_not_unary(node: ir.Node, opset: int) -> str | None:
    return None


def hard_swish(model: ir.Model, node: ir.Node, opset: int) -> None:
    """``x * HardSigmoid(x)``, as the standard defines it."""
    nodes, x = _Nodes(model, node), node.inputs[0]
    nodes.last("Mul", x, nodes.add("HardSigmoid", x, alpha=1 / 6, beta=0.5))


def mish(model: ir.Model, node: ir.Node, opset: int) -> None:
    """``x * tanh(softplus(x))``, as the standard defines it."""
    nodes, x = _Nodes(model, node), node.inputs[0]
    nodes.last("Mul", x, nodes.add("Tanh", nodes.add("Softplus", x)))


def why_not_cast_like(node: ir.Node, opset: int) -> str | None:
    like = input_at(node, 1)
    return None if like is not None and like.dtype is not None else "the type that it casts to is not known"


def cast_like(model: ir.Model, node: ir.Node, opset: int) -> None:
    """A Cast to the type of the second input."""
    like = node.inputs[1]
    assert like is not None and like.dtype is not None
    _Nodes(model, node).last("Cast", node.inputs[0], to=like.dtype.value)


def why_not_trilu(node: ir.Node, opset: int) -> str | None:
    k = input_at(node, 1)
    if k is not None and constant_of(k) is None:
        return "its diagonal is computed, and a constant there"
    return None if _matrix(node) is not None else "the sizes of its matrices are not known"


def trilu(model: ir.Model, node: ir.Node, opset: int) -> None:
    """A Where with the triangle as a constant; the rest is zero."""
    sizes, k, x = _matrix(node), constant_of(input_at(node, 1)), node.inputs[0]
    assert sizes is not None and x is not None and x.dtype is not None
    offset = 0 if k is None else int(k)
    upper = bool(node.attributes.get_int("upper", 1))
    kept = np.triu(np.ones(sizes, bool), offset) if upper else np.tril(np.ones(sizes, bool), offset)
    nodes = _Nodes(model, node)
    zero = nodes.constant("zero", np.zeros((), x.dtype.numpy()))
    nodes.last("Where", nodes.constant("triangle", kept), x, zero)


def _matrix(node: ir.Node) -> tuple[int, int] | None:
    """Sizes of the last two dimensions, if they and the type are known."""
    x = node.inputs[0]
    if x is None or x.shape is None or x.dtype is None or len(x.shape) < 2:
        return None
    rows, columns = x.shape[-2], x.shape[-1]
    return (rows, columns) if isinstance(rows, int) and isinstance(columns, int) else None


def why_not_layer_norm(node: ir.Node, opset: int) -> str | None:
    if any(output.uses() or output.is_graph_output() for output in node.outputs[1:]):
        return "its means and deviations are read"
    if node.inputs[0] is None or node.inputs[0].dtype is not ir.DataType.FLOAT:
        return "it is of another type than float32, and is computed in float32"
    rank, axis = rank_of(node.inputs[0]), node.attributes.get_int("axis", -1)
    if axis >= 0 and rank is None:
        return "the number of dimensions of its input is not known"
    if axis not in (-1, None if rank is None else rank - 1):
        return "onnxruntime fuses norms of the last dimension alone, and others would be rounded in another way"
    return None


def layer_norm(model: ir.Model, node: ir.Node, opset: int) -> None:
    """``(x - mean) / sqrt(variance + epsilon) * weight + bias``, in the form that onnxruntime fuses to one operator."""
    nodes, x, weight = _Nodes(model, node), node.inputs[0], node.inputs[1]
    epsilon = node.attributes.get_float("epsilon", 1e-5)
    apart = nodes.add("Sub", x, nodes.add("ReduceMean", x, axes=[-1], keepdims=1))
    square = nodes.add("Pow", apart, nodes.constant("two", np.array(2, np.float32)))
    variance = nodes.add("ReduceMean", square, axes=[-1], keepdims=1)
    deviation = nodes.add("Sqrt", nodes.add("Add", variance, nodes.constant("epsilon", np.array(epsilon, np.float32))))
    scaled = nodes.add("Mul", nodes.add("Div", apart, deviation), weight)
    bias = input_at(node, 2) or nodes.constant("bias", np.zeros(_size(weight), np.float32))
    nodes.last("Add", scaled, bias)


def _size(weight: ir.Value | None) -> list[int]:
    """The shape of a weight, if it is known: onnxruntime fuses biases of this shape."""
    sizes = [] if weight is None or weight.shape is None else list(weight.shape)
    return [size for size in sizes if isinstance(size, int)]
