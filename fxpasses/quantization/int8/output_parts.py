"""The parts of each output of a FLOAT graph: the tensors that its last concatenation or stack joins, or the whole.

A detector returns boxes and scores in one tensor; a single number about this tensor hides the error of the scores.
Parts are followed back through operators that move values or change each value separately.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, fx

from ...graph.edit import operator_of, order_of
from ...graph.operators import Trait
from ...graph.shapes import is_float_tensor, shape_of
from ...signature.outputs import output_tensors
from .mixed_tensors import WRITE_SLICE, joined_by

MOST_PARTS = 32
"""Most parts of one output; an output with more is treated as a whole, because nobody reads so many lines."""

WHOLE = "output"
"""The key of a model's only output."""
Span = tuple[int, int]


@dataclass(frozen=True)
class Piece:
    """A box of a tensor, and the node that computed its values.

    Attributes:
        node: the name of the node.
        spans: (first index, last index + 1) by dimension; dimensions that are left out are whole.
    """

    node: str
    spans: Mapping[int, Span] = field(default_factory=dict)


@dataclass(frozen=True)
class OutputPart:
    """A part of an output.

    Attributes:
        leaf: index of the tensor among those that the model returns.
        key: the caller's key of the output: ``output``, ``1``, ``boxes``, ``features.0``.
        piece: position of the part in the tensor.
    """

    leaf: int
    key: str
    piece: Piece

    @property
    def where(self) -> str:
        """The part as an index, for example ``[:, 4:84]``; empty for a whole output."""
        spans = self.piece.spans
        if not spans:
            return ""
        axes = (spans.get(d) for d in range(max(spans) + 1))
        return f"[{', '.join(':' if span is None else f'{span[0]}:{span[1]}' for span in axes)}]"

    def __str__(self) -> str:
        name = WHOLE if self.key == WHOLE else f"{WHOLE} {self.key}"
        return f"{name}{self.where} ({self.piece.node})"

    def of(self, outputs: list[Any]) -> Tensor | None:
        """This part of a model's outputs; None if that output is no tensor."""
        value = outputs[self.leaf]
        if not isinstance(value, Tensor):
            return None
        for dim, (first, behind) in self.piece.spans.items():
            value = value.narrow(dim, first, behind - first)
        return value


def output_parts(gm: fx.GraphModule, tensors_given: int | None = None) -> list[OutputPart]:
    """The parts of all floating point outputs, in order.

    Args:
        gm: a FLOAT graph.
        tensors_given: number of tensors that the model returned. If the output node lists another number, because a
            function of the graph builds the structure, each tensor is one part.
    """
    tensors = output_tensors(gm)
    if tensors_given is not None and tensors_given != len(tensors):
        return [OutputPart(n, str(n), Piece("output")) for n in range(tensors_given)]
    found = []
    for number, tensor in enumerate(tensors):
        if is_float_tensor(tensor.node):
            found += [OutputPart(number, tensor.name or WHOLE, piece) for piece in _pieces(gm, tensor.node)]
    return found


def _pieces(gm: fx.GraphModule, node: fx.Node) -> list[Piece]:
    pieces = pieces_of(gm, node)
    return pieces if len(pieces) <= MOST_PARTS else [Piece(node.name)]


def pieces_of(gm: fx.GraphModule, node: fx.Node) -> list[Piece]:
    """The pieces that a tensor is joined from; the tensor itself if it is not joined."""
    joined = joined_by(gm, node)
    if joined is not None:
        found, first = list[Piece](), 0
        stacks = len(shape_of(joined.sources[0]) or ()) < len(shape_of(node) or ())
        for size, part in zip(joined.sizes, joined.sources, strict=True):
            inner = [Piece(part.name)] if node.target is WRITE_SLICE else pieces_of(gm, part)
            found += [_placed(piece, joined.dim, (first, first + size), stacks) for piece in inner]
            first += size
        return found
    source, moved = _moved_from(gm, node)
    inner = pieces_of(gm, source) if source is not None else []
    boxes = [moved(piece.spans) for piece in inner]
    if len(inner) < 2 or any(box is None for box in boxes):
        return [Piece(node.name)]
    return [Piece(piece.node, box) for piece, box in zip(inner, boxes, strict=True) if box is not None]


def _placed(piece: Piece, dim: int, span: Span, stacks: bool) -> Piece:
    spans = {d + (stacks and d >= dim): s for d, s in piece.spans.items()}
    if dim in spans:
        return Piece(piece.node, spans | {dim: (spans[dim][0] + span[0], spans[dim][1] + span[0])})
    return Piece(piece.node, spans | {dim: span})


Move = Callable[[Mapping[int, Span]], "dict[int, Span] | None"]


def _moved_from(gm: fx.GraphModule, node: fx.Node) -> tuple[fx.Node | None, Move]:
    """The tensor whose values a node only moves, and a function from a box in it to the box in the node's output."""
    operator = operator_of(gm, node)
    sources = [a for a in node.args if isinstance(a, fx.Node)]
    shape = shape_of(node) or ()
    if operator is None or not sources or shape_of(sources[0]) is None:
        return None, dict
    source, given = sources[0], shape_of(sources[0]) or ()
    if operator.elementwise or Trait.BY_VALUE in operator.traits:
        full = [s for s in sources if shape_of(s) == shape]
        return (full[0], dict) if len(full) == 1 else (None, dict)
    if Trait.REORDERS in operator.traits:
        order = order_of(node, len(given))
        return (source, lambda spans: {order.index(d): s for d, s in spans.items()}) if order else (None, dict)
    if Trait.RESHAPES in operator.traits:
        return source, lambda spans: _reshaped(spans, given, shape)
    return None, dict


def _reshaped(spans: Mapping[int, Span], old: tuple[int, ...], new: tuple[int, ...]) -> dict[int, Span] | None:
    """Boxes after a reshape that keeps their dimensions; None if it changes one of them."""
    found: dict[int, Span] = {}
    for dim, span in spans.items():
        before, size = math.prod(old[:dim]), old[dim]
        kept = [d for d in range(len(new)) if math.prod(new[:d]) == before and new[d] == size]
        if not kept:
            return None
        found[kept[0]] = span
    return found
