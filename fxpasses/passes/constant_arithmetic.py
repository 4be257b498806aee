"""Fold arithmetic with constants into the layer before it, or after it.

``conv(x) * 0.2``, ``linear(x) * gamma`` with a parameter per channel (the LayerScale of ConvNeXt and CaiT), ``conv(x) +
1`` and ``x / 255`` in front of a convolution are affine maps per channel, which :mod:`.affine` puts into the weights.
Otherwise each costs an operator, and in int8 two conversions. Equal up to float rounding.
"""

from __future__ import annotations

import operator

import torch
from torch import Tensor, fx

from ..graph.edit import (
    bypass,
    erase_unread,
    has_trait,
    is_finite,
    is_floating_point,
    only_reader,
    operator_name,
    order_of,
)
from ..graph.operators import Trait
from ..graph.ownership import drop_unread_tensors, tensor_at
from ..graph.pass_runner import PassResult
from ..graph.shapes import shape_of
from .affine import (
    Affine,
    is_convolution,
    pads_zeros,
    reader_ahead,
    scale_layer,
    scale_reader,
    why_not_ahead,
    why_not_behind,
)

_OPERATORS = ("add", "sub", "rsub", "mul", "div")
_REVERSED = (torch.rsub, torch.ops.aten.rsub.Scalar, torch.ops.aten.rsub.Tensor)
"""``rsub(x, c)`` is ``c - x``, as torch.export writes it."""


def fold_constants_behind(gm: fx.GraphModule) -> PassResult:
    """Fold each such operator into the convolution or linear layer before it."""
    result = PassResult()
    for node in _candidates(gm):
        layer, moves = _made_by(gm, _value(gm, node))
        why = why_not_behind(gm, layer, moves[0] if moves else node)
        affine = None if why else _affine(gm, node, _axis_behind(gm, layer, moves))
        if why or affine is None:
            result.skip(node, why or f"its constant is not one number per channel of {layer.name}, or not finite")
            continue
        scale_layer(gm, layer, affine)
        with_it = _drop(gm, node)
        result.change(node, f"becomes part of {layer.name}, before it{with_it}")
    drop_unread_tensors(gm)
    return result


def fold_constants_ahead(gm: fx.GraphModule) -> PassResult:
    """Fold each remaining one into the convolution or linear layer that is its only reader, where possible."""
    result = PassResult()
    for node in reversed(_candidates(gm)):  # of two in a row, the first is then alone in front of the layer
        reader = reader_ahead(gm, node)
        why = why_not_ahead(gm, reader)
        affine = None if why or reader is None else _affine(gm, node, _channel_axis(gm, reader, node))
        if affine is not None and reader is not None and affine.shifts and pads_zeros(gm, reader):
            why = f"{reader.name} pads with zeros after the shift"
        if why or affine is None or reader is None:
            result.skip(node, why or "its constant is not one number per channel of its reader, or not finite")
            continue
        scale_reader(gm, reader, affine)
        with_it = _drop(gm, node)
        result.change(node, f"becomes part of {reader.name}, which reads it{with_it}")
    drop_unread_tensors(gm)
    return result


def _candidates(gm: fx.GraphModule) -> list[fx.Node]:
    """Sums, differences, products and quotients of a tensor and a constant."""
    return [
        node
        for node in gm.graph.nodes
        if _operator(gm, node) in _OPERATORS
        and is_floating_point(node)
        and not node.kwargs
        and len(node.args) == 2
        and sum(_is_constant(gm, argument) for argument in node.args) == 1
        and shape_of(_value(gm, node)) == shape_of(node)
    ]


def _operator(gm: fx.GraphModule, node: fx.Node) -> str | None:
    """The operator's name; ``1 - x`` has no canonical form: torch.sub takes a number only as its second argument."""
    if node.target is operator.sub:
        return "sub"
    return "rsub" if node.target in _REVERSED else operator_name(gm, node)


def _is_constant(gm: fx.GraphModule, argument: object) -> bool:
    """Whether an argument is a number, or a parameter or buffer of floating point numbers."""
    if not isinstance(argument, fx.Node):
        return isinstance(argument, (int, float)) and not isinstance(argument, bool)
    found = tensor_at(gm, str(argument.target)) if argument.op == "get_attr" else None
    return found is not None and found.is_floating_point()


def _constant(gm: fx.GraphModule, node: fx.Node) -> Tensor:
    """The constant argument, float64."""
    (argument,) = [argument for argument in node.args if _is_constant(gm, argument)]
    if not isinstance(argument, fx.Node):
        return torch.tensor(argument, dtype=torch.float64)
    found = tensor_at(gm, str(argument.target))
    assert found is not None
    return found.detach().double()


def _value(gm: fx.GraphModule, node: fx.Node) -> fx.Node:
    """The argument that is not constant."""
    (value,) = [argument for argument in node.args if not _is_constant(gm, argument)]
    assert isinstance(value, fx.Node)
    return value


def _made_by(gm: fx.GraphModule, value: fx.Node) -> tuple[fx.Node, list[fx.Node]]:
    """The node that computes a value, and what brings its dimensions into another order on the way, in order."""
    moves: list[fx.Node] = []
    while has_trait(gm, value, Trait.REORDERS) and only_reader(value) is not None and value.all_input_nodes:
        moves.insert(0, value)
        value = value.all_input_nodes[0]
    return value, moves


def _axis_behind(gm: fx.GraphModule, layer: fx.Node, moves: list[fx.Node]) -> int | None:
    """The dimension in which a layer's channels are after moves; None if that is computed in the graph."""
    axis, rank = _channel_axis(gm, layer, layer), len(shape_of(layer) or ())
    for move in moves:
        order = order_of(move, rank)
        if not order:
            return None
        axis = order.index(axis)
    return axis


def _channel_axis(gm: fx.GraphModule, layer: fx.Node, tensor: fx.Node) -> int:
    """The dimension of a tensor in which a layer that reads or makes it has its channels."""
    rank = len(shape_of(tensor) or ())
    if not is_convolution(gm, layer):
        return rank - 1
    kernel = getattr(gm.get_submodule(str(layer.target)), "kernel_size", ())
    return rank - 1 - len(kernel)


def _affine(gm: fx.GraphModule, node: fx.Node, axis: int | None) -> Affine | None:
    """The operator as a map of each channel; None if its constant varies otherwise, or a number is not finite."""
    shape = shape_of(node) or ()
    if axis is None:
        return None
    constant = _constant(gm, node)
    own = [1] * (len(shape) - constant.dim()) + list(constant.shape)
    if any(size != 1 for dim, size in enumerate(own) if dim != axis):
        return None
    values = constant.reshape(-1).expand(shape[axis])
    is_first = _is_constant(gm, node.args[0])
    one, none = torch.ones_like(values), torch.zeros_like(values)
    match _operator(gm, node), is_first:
        case "mul", _:
            affine = Affine(values, none)
        case "add", _:
            affine = Affine(one, values)
        case "sub", False:
            affine = Affine(one, -values)
        case ("sub", True) | ("rsub", False):
            affine = Affine(-one, values)
        case "div", False:
            affine = Affine(1 / values, none)
        case _:  # a constant divided by the tensor
            return None
    narrow = affine.factor.float(), affine.shift.float()
    return affine if is_finite(*narrow) else None


def _drop(gm: fx.GraphModule, node: fx.Node) -> str:
    """Take a node out, with its constant if nothing else reads that; the text that says so."""
    value = _value(gm, node)
    constants = [n for n in node.all_input_nodes if n is not value]
    bypass(gm, node, value)
    return erase_unread(gm, constants)
