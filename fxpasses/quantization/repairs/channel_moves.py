"""The dimension of channels after operators that only move values, such as those of windowed attention.

None means that channels are mixed with other dimensions, or that the answer depends on the batch.
"""

from __future__ import annotations

import operator
from collections.abc import Callable

import torch
from torch import fx

from ...graph.shapes import shape_of


def moved_axis(node: fx.Node, axis: int) -> int | None:
    """The output dimension that holds the channels of dimension ``axis`` of the input."""
    source = node.args[0]
    before, after = shape_of(source) if isinstance(source, fx.Node) else None, shape_of(node)
    rule = _RULES.get(node.target) if callable(node.target) else None
    return None if rule is None or before is None or after is None else rule(node, axis, before, after)


def _reshape(node: fx.Node, axis: int, before: tuple[int, ...], after: tuple[int, ...]) -> int | None:
    """Axis after a reshape, which keeps the order of values.

    A last dimension of unchanged size stays the last one. A dimension also keeps its place if all before it are
    unchanged.
    """
    shape = node.kwargs.get("shape")
    asked = shape if isinstance(shape, (tuple, list)) else ()
    if axis == len(before) - 1 and after[-1:] == before[-1:] and asked and _is_the_same_for_all_batches(asked[-1]):
        return len(after) - 1
    starts_alike = 0 < axis < len(after) and before[1 : axis + 1] == after[1 : axis + 1] and before[0] == after[0]
    return axis if starts_alike and all(map(_is_the_same_for_all_batches, asked[1:])) else None


def _is_the_same_for_all_batches(size: object) -> bool:
    """Whether a size is a number, or the size of another dimension than the first."""
    if isinstance(size, int):
        return True
    if not isinstance(size, fx.Node) or len(size.args) != 2:
        return False
    asks = size.target is operator.getitem or (size.op == "call_method" and size.target == "size")
    return asks and isinstance(size.args[1], int) and size.args[1] > 0


def _permute(node: fx.Node, axis: int, before: tuple[int, ...], after: tuple[int, ...]) -> int | None:
    dims = node.kwargs.get("dims")
    if not isinstance(dims, (tuple, list)) or not all(isinstance(d, int) for d in dims):
        return None
    return [int(d) % len(before) for d in dims if isinstance(d, int)].index(axis)


def _transpose(node: fx.Node, axis: int, before: tuple[int, ...], after: tuple[int, ...]) -> int | None:
    first, second = node.kwargs.get("dim0"), node.kwargs.get("dim1")
    if not isinstance(first, int) or not isinstance(second, int):
        return None
    first, second = first % len(before), second % len(before)
    return {first: second, second: first}.get(axis, axis)


def _roll(node: fx.Node, axis: int, before: tuple[int, ...], after: tuple[int, ...]) -> int | None:
    dims = node.kwargs.get("dims")
    listed = [dims] if isinstance(dims, int) else dims
    if not isinstance(listed, (tuple, list)) or not listed or not all(isinstance(d, int) for d in listed):
        return None
    return None if axis in {int(d) % len(before) for d in listed if isinstance(d, int)} else axis


_RULES: dict[Callable[..., object], Callable[[fx.Node, int, tuple[int, ...], tuple[int, ...]], int | None]] = {
    torch.reshape: _reshape,
    torch.permute: _permute,
    torch.transpose: _transpose,
    torch.roll: _roll,
}
