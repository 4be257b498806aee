"""Operators that an older opset has in another form: axes as attributes, sizes in another place. Exact."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from ..onnx_forms.edit import add_constant, take_place
from .forms import why_not_taken, without_further

_COMPUTED = "its {} are computed, and constants there"


def constant_of(value: ir.Value | None) -> np.ndarray | None:
    """The value of a constant input; None if it is left out or computed."""
    return None if value is None or value.const_value is None else value.const_value.numpy()


def input_at(node: ir.Node, place: int) -> ir.Value | None:
    """An input; None if it is left out."""
    return node.inputs[place] if len(node.inputs) > place else None


def rank_of(value: ir.Value | None) -> int | None:
    """Number of dimensions of a tensor, if it is known."""
    return None if value is None or value.shape is None else len(value.shape)


def named(node: ir.Node, part: str) -> str:
    """A name for a tensor that replaces part of a node."""
    return f"{node.outputs[0].name}_{part}"


def why_not_reduce(node: ir.Node, opset: int) -> str | None:
    axes = input_at(node, 1)
    if axes is not None and axes.const_value is None:
        return _COMPUTED.format("axes")
    if node.attributes.get_int("noop_with_empty_axes", 0) and (axes is None or not _axes(node)):
        return "it reduces nothing"
    return None


def reduce(model: ir.Model, node: ir.Node, opset: int) -> None:
    """Move the axes from an input to an attribute; without axes all are reduced in both forms."""
    axes = _axes(node)
    node.resize_inputs(1)
    node.attributes.pop("noop_with_empty_axes", None)
    if axes:
        node.attributes.add(ir.AttrInt64s("axes", axes))


def _axes(node: ir.Node) -> list[int]:
    found = constant_of(input_at(node, 1))
    return [] if found is None else [int(axis) for axis in found.reshape(-1)]


def why_not_pad(node: ir.Node, opset: int) -> str | None:
    axes = input_at(node, 3)
    if axes is None:
        return None
    if constant_of(axes) is None or constant_of(node.inputs[1]) is None:
        return _COMPUTED.format("axes or sizes")
    return None if rank_of(node.inputs[0]) is not None else "the number of dimensions of its input is not known"


def pad(model: ir.Model, node: ir.Node, opset: int) -> None:
    """Give sizes for all dimensions instead of some axes."""
    axes, sizes, rank = constant_of(input_at(node, 3)), constant_of(node.inputs[1]), rank_of(node.inputs[0])
    if axes is not None and sizes is not None and rank is not None:
        whole = np.zeros((2, rank), np.int64)
        whole[:, axes.reshape(-1)] = sizes.reshape(2, -1)
        node.replace_input_with(1, add_constant(model, named(node, "pads"), whole.reshape(-1)))
    node.resize_inputs(min(len(node.inputs), 3))


def why_not_reshape(node: ir.Node, opset: int) -> str | None:
    sizes = constant_of(node.inputs[1])
    if node.attributes.get_int("allowzero", 0) and sizes is not None and (sizes == 0).any():
        return "it makes a tensor without values (allowzero)"
    return why_not_taken(node, opset, {"allowzero": node.attributes.get_int("allowzero", 0)})


def reshape(model: ir.Model, node: ir.Node, opset: int) -> None:
    """Drop ``allowzero``. Without it, a size of zero means the input's: computed sizes are zero for empty tensors."""
    without_further(node, opset)


_ANTIALIAS = {"antialias": 0, "keep_aspect_ratio_policy": "stretch"}


def why_not_resize(node: ir.Node, opset: int) -> str | None:
    return why_not_taken(node, opset, {**_ANTIALIAS, "axes": None})


def resize(model: ir.Model, node: ir.Node, opset: int) -> None:
    """Drop attributes with which it is the older operator."""
    without_further(node, opset)


def why_not_scatter(node: ir.Node, opset: int) -> str | None:
    reduction = node.attributes.get_string("reduction", "none")
    if opset >= 16:
        return None if reduction in ("none", "add", "mul") else f"its reduction={reduction} has no counterpart there"
    return why_not_taken(node, opset, {"reduction": "none"})


def why_not_shape(node: ir.Node, opset: int) -> str | None:
    return None


def shape(model: ir.Model, node: ir.Node, opset: int) -> None:
    """Cut the dimensions out of the whole shape."""
    start, end = node.attributes.get_int("start", 0), node.attributes.get_int("end", None)
    without_further(node, opset)
    if not start and end is None:
        return
    graph = node.graph
    assert graph is not None
    whole = ir.node("Shape", [node.inputs[0]], name=f"{node.name}_whole")
    whole.outputs[0].name = named(node, "whole")
    graph.insert_before(node, whole)
    last = np.iinfo(np.int64).max if end is None else end
    ends = [add_constant(model, named(node, n), np.array([v])) for n, v in (("start", start), ("end", last))]
    take_place(node, ir.node("Slice", [whole.outputs[0], *ends], name=node.name))


def why_not_split(node: ir.Node, opset: int) -> str | None:
    if input_at(node, 1) is not None:
        return None
    return None if _length(node) is not None else "the length of what it splits is not known"


def split(model: ir.Model, node: ir.Node, opset: int) -> None:
    """Give the lengths of the parts if they differ; equal ones are what an older Split makes by itself."""
    parts, length = len(node.outputs), _length(node)
    node.attributes.pop("num_outputs", None)
    if input_at(node, 1) is not None or length is None or not length % parts:
        return
    part = math.ceil(length / parts)
    lengths = [min(part, length - part * at) for at in range(parts)]
    node.resize_inputs(2)
    node.replace_input_with(1, add_constant(model, named(node, "lengths"), np.array(lengths, np.int64)))


def _length(node: ir.Node) -> int | None:
    source = node.inputs[0]
    axis = node.attributes.get_int("axis", 0)
    size = source.shape[axis] if source is not None and source.shape is not None else None
    return size if isinstance(size, int) else None
