"""Rules of arithmetic: operators of several tensors, and those that reduce. See :mod:`.labels`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import fx

from ...graph.edit import operator_of
from ...graph.shapes import is_tensor, shape_of
from .labels import Dim, Labelling, Labels, Rules

RULES = Rules()
"""Rules of this file, by operator."""


@RULES.of("add", "sub", "mul", "div")
def _arithmetic(state: Labelling, node: fx.Node) -> Labels:
    if not all(is_tensor(a) for a in node.args):
        return next(state.of[a] for a in node.args if isinstance(a, fx.Node) and a in state.of)
    first, second = node.args
    assert isinstance(first, fx.Node) and isinstance(second, fx.Node)
    return broadcast(state, node, with_shape(state, first), with_shape(state, second))


Sized = list[tuple[Dim, int]]
"""Label and size of each dimension."""


def with_shape(state: Labelling, source: fx.Node) -> Sized:
    """Labels and sizes of the dimensions of a tensor."""
    return list(zip(state.of[source], shape_of(source) or (), strict=True))


def broadcast(state: Labelling, node: fx.Node, first: Sized, second: Sized) -> Labels:
    """Labels of the result when two tensors are broadcast against each other."""
    rank = max(len(first), len(second))
    padded = [[(None, 1)] * (rank - len(dims)) + dims for dims in (first, second)]
    return tuple(_broadcast_dim(state, node, a, b) for a, b in zip(*padded, strict=True))


def _broadcast_dim(state: Labelling, node: fx.Node, first: tuple[Dim, int], second: tuple[Dim, int]) -> Dim:
    (a, size_a), (b, size_b) = first, second
    if size_a == 1 and size_b == 1:
        state.freeze(node, "is computed from this one channel", a, b)
        return None
    if size_b == 1:
        state.freeze(node, "spreads this one channel", b)
        return a
    if size_a == 1:
        state.freeze(node, "spreads this one channel", a)
        return b
    return state.unite(node, a, b)


@RULES.of("matmul")
def _matmul(state: Labelling, node: fx.Node) -> Labels:
    first, second = node.args
    assert isinstance(first, fx.Node) and isinstance(second, fx.Node)
    a, b = with_shape(state, first), with_shape(state, second)
    if len(a) < 2 or len(b) < 2:
        return state.freeze_inputs(node, "multiplies vectors")
    contracted = state.unite(node, a[-1][0], b[-2][0], "sums over them and what is no channel")
    state.reads_sum(node, first, len(a) - 1, contracted)
    return (*broadcast(state, node, a[:-2], b[:-2]), a[-2][0], b[-1][0])


@RULES.of("scaled_dot_product_attention")
def _attention(state: Labelling, node: fx.Node) -> Labels:
    """Labels of attention, ``softmax(q k^T scale) v``: the width of a head is summed over, that of
    the values is kept.
    """
    query, key, value = node.args
    if any(is_tensor(v) for v in node.kwargs.values()) or node.kwargs.get("enable_gqa"):
        mask = node.kwargs.get("attn_mask")
        state.freeze(node, "takes it as a mask", *(state.of.get(mask, ()) if isinstance(mask, fx.Node) else ()))
    assert isinstance(query, fx.Node) and isinstance(key, fx.Node) and isinstance(value, fx.Node)
    q, k, v = (with_shape(state, t) for t in (query, key, value))
    contracted = state.unite(node, q[-1][0], k[-1][0], "sums over them and what is no channel")
    state.reads_sum(node, query, len(q) - 1, contracted)
    state.freeze(node, "(attention) has a softmax along this dimension", k[-2][0], v[-2][0])
    heads = broadcast(state, node, q[:-2], k[:-2])
    heads = broadcast(state, node, [(dim, size) for dim, (_, size) in zip(heads, q[:-2], strict=True)], v[:-2])
    return (*heads, q[-2][0], v[-1][0])


@RULES.of("softmax")
def _softmax(state: Labelling, node: fx.Node) -> Labels:
    given = state.input(node)
    for axis in axes_of(node.kwargs["dim"], len(given)):
        state.freeze(node, "(softmax) normalises over them", given[axis])
    return given


@RULES.of("mean")
def _mean(state: Labelling, node: fx.Node) -> Labels:
    given = state.input(node)
    reduced = axes_of(node.kwargs.get("dim"), len(given))
    for axis in reduced:
        state.freeze(node, "(mean) averages over them", given[axis])
    if node.kwargs.get("keepdim", False):
        return tuple(None if axis in reduced else dim for axis, dim in enumerate(given))
    return tuple(dim for axis, dim in enumerate(given) if axis not in reduced)


@RULES.of("max_pool1d", "max_pool2d", "max_pool3d", "avg_pool2d", "adaptive_avg_pool2d", "interpolate")
def _window(state: Labelling, node: fx.Node) -> Labels:
    given, operator = state.input(node), operator_of(state.gm, node)
    covered = operator.window_dims if operator is not None else None
    spatial = len(given) - 2 if covered is None else covered
    kept = len(given) - spatial
    state.freeze(node, "slides a window along this dimension", *given[kept:])
    return (*given[:kept], *(None,) * spatial)


@RULES.of("cat")
def _cat(state: Labelling, node: fx.Node) -> Labels:
    sources = node.args[0]
    if not isinstance(sources, (tuple, list)) or not all(is_tensor(s) for s in sources):
        return state.freeze_inputs(node, "joins what is not known beforehand")
    parts = [with_shape(state, s) for s in sources if isinstance(s, fx.Node)]
    parts = [part for part in parts if len(part) == len(parts[-1])]  # torch takes an empty vector anywhere
    axis = axes_of(node.kwargs.get("dim", 0), len(parts[0]))[0]
    joined = [part[axis] for part in parts]
    labels = list(parts[0])
    for part in parts[1:]:
        for other, (dim, size) in enumerate(part):
            if other != axis and size > 1:
                labels[other] = (state.unite(node, labels[other][0], dim), size)
    dims = [dim for dim, _ in labels]
    dims[axis] = None
    if any(dim is not None for dim, _ in joined):
        dims[axis] = np.concatenate([_solid(state, node, dim, size) for dim, size in joined])
    return tuple(dims)


def _solid(state: Labelling, node: fx.Node, dim: Dim, size: int) -> Any:
    """Atoms of a part of a concatenation; a part without channels gets frozen ones."""
    if dim is not None:
        return dim
    made = state.classes.fresh(size)
    state.freeze(node, "joins them with what no layer made", made)
    return made


def axes_of(dim: Any, rank: int) -> list[int]:
    """Axes of a ``dim`` setting as numbers from 0; all axes if it is None."""
    if dim is None:
        return list(range(rank))
    return [int(d) % rank for d in (dim if isinstance(dim, Sequence) else [dim])]
