"""Count the multiply-accumulates of a FLOAT graph from its shapes, for one sample of the batch.

Products of convolutions, linear layers, matrix products, einsum, attention and recurrent layers are counted. A bias,
which is added once per result, is not counted, and neither are operators that only scale values.

| operator | multiply-accumulates |
|---|---|
| convolution, linear | values of the output, times weights per output value |
| transposed convolution | values of the input, times weights per input value |
| matmul, baddbmm | values of the output, times the length of the sum |
| einsum | for two operands the product of all sizes; for more, one operand after the other |
| attention | each query with each key, and each weight with each value; for a whole layer also its four projections |
| LSTM, GRU, RNN | steps, times all weights |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor, fx, nn

from .graph.edit import operator_name
from .graph.operators import aten_name
from .graph.shapes import shape_of
from .graph.stages import graph_facts
from .signature.examples import input_tensors
from .signature.samples import batch_dims

_WEIGHTED = (nn.Linear, nn.Bilinear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_RECURRENT = (nn.LSTM, nn.GRU, nn.RNN)


class Sizes(Protocol):
    """Sizes of tensors: the real ones, or those after the removal of channels."""

    def of(self, node: fx.Node) -> list[int]:
        """The shape of a node's tensor."""

    def of_parameter(self, tensor: Tensor) -> list[int]:
        """The shape of a parameter."""


class WholeSizes:
    """The real sizes of tensors."""

    def of(self, node: fx.Node) -> list[int]:
        return list(shape_of(node) or ())

    def of_parameter(self, tensor: Tensor) -> list[int]:
        return list(tensor.shape)


def count_graph_macs(gm: fx.GraphModule) -> int:
    """Multiply-accumulates of the whole graph, for one sample of the batch."""
    return sum(macs for _, macs in macs_by_node(gm, WholeSizes()))


def macs_by_node(gm: fx.GraphModule, sizes: Sizes) -> Iterator[tuple[fx.Node, int]]:
    """All nodes that multiply and accumulate, with their count for one sample of the batch."""
    batch = batch_of(gm)
    for node in gm.graph.nodes:
        macs = _of_module(gm, node, sizes) if node.op == "call_module" else _of_function(gm, node, sizes)
        if macs:
            yield node, macs // batch


def batch_of(gm: fx.GraphModule) -> int:
    """Batch size at capture; dimension 0 of the first input if no dimension is known to be the batch."""
    if graph_facts(gm).example_inputs is None:
        return 1
    tensors = [tensor for tensor in input_tensors(gm) if tensor.spec[0]]
    sizes = [t.spec[0][d] for t, d in zip(input_tensors(gm), batch_dims(gm), strict=True) if d is not None]
    return next(iter([*sizes, *(tensor.spec[0][0] for tensor in tensors)]), 1) or 1


def _of_module(gm: fx.GraphModule, node: fx.Node, sizes: Sizes) -> int:
    layer, source = gm.get_submodule(str(node.target)), node.args[0] if node.args else None
    if not isinstance(source, fx.Node):
        return 0
    if isinstance(layer, _WEIGHTED):
        return math.prod(sizes.of_parameter(layer.weight)[1:]) * math.prod(sizes.of(node))
    if isinstance(layer, _TRANSPOSED):
        return math.prod(sizes.of_parameter(layer.weight)[1:]) * math.prod(sizes.of(source))
    if isinstance(layer, _RECURRENT):
        weights = [w for name, w in layer.named_parameters() if name.startswith("weight")]
        return math.prod(sizes.of(source)[:-1]) * sum(math.prod(sizes.of_parameter(w)) for w in weights)
    if isinstance(layer, nn.MultiheadAttention):
        return _of_attention_layer(layer, node, sizes)
    return 0


def _of_attention_layer(layer: nn.MultiheadAttention, node: fx.Node, sizes: Sizes) -> int:
    given = [*node.args, *(node.kwargs[n] for n in ("query", "key", "value") if n in node.kwargs)]
    tensors = [sizes.of(a) for a in given[:3] if isinstance(a, fx.Node)]
    if len(tensors) != 3:
        return 0
    query, key, value = tensors
    queries, width = math.prod(query[:-1]), int(layer.embed_dim)
    keys = key[1 if layer.batch_first and len(key) > 2 else 0]
    projected = queries * query[-1] + math.prod(key[:-1]) * key[-1] + math.prod(value[:-1]) * value[-1]
    return width * (projected + queries * width) + 2 * queries * keys * width


def _of_function(gm: fx.GraphModule, node: fx.Node, sizes: Sizes) -> int:
    if node.op not in ("call_function", "call_method"):
        return 0
    name = operator_name(gm, node) or (aten_name(node.target) or "").removeprefix("aten.")
    name = "einsum" if node.target is torch.einsum else "baddbmm" if node.target is torch.baddbmm else name
    count = _COUNTS.get(name)
    return count(node, sizes) if count is not None else 0


def _of_matmul(node: fx.Node, sizes: Sizes) -> int:
    tensors = [a for a in node.args if isinstance(a, fx.Node)]
    summed = tensors[-2] if len(tensors) > 1 else None  # baddbmm adds its first operand
    return sizes.of(summed)[-1] * math.prod(sizes.of(node)) if summed is not None and sizes.of(summed) else 0


def _of_attention(node: fx.Node, sizes: Sizes) -> int:
    tensors = [sizes.of(a) for a in node.args[:3] if isinstance(a, fx.Node)]
    if len(tensors) != 3 or any(len(t) < 2 for t in tensors):
        return 0
    query, key, value = tensors
    return math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _of_einsum(node: fx.Node, sizes: Sizes) -> int:
    equation, *rest = node.args
    operands = rest[0] if len(rest) == 1 and isinstance(rest[0], (tuple, list)) else rest
    shapes = [sizes.of(a) for a in operands if isinstance(a, fx.Node)]
    if not isinstance(equation, str) or len(shapes) < 2 or len(shapes) != len(operands):
        return 0
    return _contracted(equation.replace(" ", ""), shapes)


def _contracted(equation: str, shapes: Sequence[list[int]]) -> int:
    """Count for operands contracted one after the other; an index is summed as soon as no later operand has it."""
    given, _, result = equation.partition("->")
    terms = [_labels(term, shape) for term, shape in zip(given.split(","), shapes, strict=True)]
    named = [label for term in terms for label in term]
    wanted = _labels(result, []) if "->" in equation else [n for n in named if named.count(n) == 1]
    wanted = [*wanted, *(n for n in named if n.startswith("."))]
    size = {n: s for term, shape in zip(terms, shapes, strict=True) for n, s in zip(term, shape, strict=True) if s != 1}
    total, left = 0, set(terms[0])
    for number, term in enumerate(terms[1:], 1):
        both = left | set(term)
        total += math.prod(size.get(label, 1) for label in both)
        needed = {label for later in terms[number + 1 :] for label in later} | set(wanted)
        left = both & needed
    return total


def _labels(term: str, shape: Sequence[int]) -> list[str]:
    """Names of the dimensions of a term; dimensions of an ellipsis are numbered from the right."""
    before, dots, behind = term.partition("...")
    if not dots:
        return list(term)
    hidden = max(0, len(shape) - len(before) - len(behind))
    return [*before, *(f".{n}" for n in range(hidden, 0, -1)), *behind]


_COUNTS: dict[str, Callable[[fx.Node, Sizes], int]] = {
    "matmul": _of_matmul,
    "baddbmm": _of_matmul,
    "addmm": _of_matmul,
    "scaled_dot_product_attention": _of_attention,
    "einsum": _of_einsum,
}
