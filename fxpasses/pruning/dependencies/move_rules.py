"""Rules of operators that move, select, repeat or split values. See :mod:`.labels`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from torch import fx

from ...graph.shapes import is_tensor, shape_of
from .atoms import Atoms
from .labels import Dim, Labelling, Labels, Rules
from .product_rules import axes_of

RULES = Rules()
"""Rules of this file, by operator."""

Shape = tuple[int, ...]


@RULES.of("permute")
def _permute(state: Labelling, node: fx.Node) -> Labels:
    given = state.input(node)
    return tuple(given[axis] for axis in axes_of(node.kwargs["dims"], len(given)))


@RULES.of("transpose")
def _transpose(state: Labelling, node: fx.Node) -> Labels:
    given = list(state.input(node))
    a, b = axes_of([node.kwargs["dim0"], node.kwargs["dim1"]], len(given))
    given[a], given[b] = given[b], given[a]
    return tuple(given)


@RULES.of("identity")
def _identity(state: Labelling, node: fx.Node) -> Labels:
    return state.input(node)


@RULES.of("flatten", "reshape", "squeeze", "unsqueeze")
def _reshape(state: Labelling, node: fx.Node) -> Labels:
    shape = node.kwargs.get("shape", ())
    if isinstance(shape, fx.Node):
        return state.freeze_inputs(node, "takes its sizes from another tensor")
    source = node.args[0]
    assert isinstance(source, fx.Node)
    return reshaped(state, node, state.of[source], shape_of(source) or (), shape_of(node) or ())


def reshaped(state: Labelling, node: fx.Node, labels: Labels, before: Shape, after: Shape) -> Labels:
    """Labels of a reshape; if a dimension is split into several, the last part keeps the atoms.

    Splitting C into ``[G, C/G]`` unites the i-th channels of the G parts, so that the result stays rectangular. The
    parts of a channel shuffle, query, key and value, or the heads of attention then all shrink alike.
    """
    made: list[Dim] = [None] * len(after)
    for ins, outs in blocks(before, after):
        held = [axis for axis in ins if labels[axis] is not None]
        if not held:
            continue
        if len(held) > 1 or (0 in ins and held != [0] and len(outs) < 2):
            state.freeze(node, "(reshape) mixes them with another dimension", *(labels[axis] for axis in held))
            continue
        spread = [len(labels[axis]) if axis == held[0] else 1 for axis in ins]  # type: ignore[arg-type]  # held axes have labels
        atoms = np.asarray(labels[held[0]]).reshape(spread)
        cells = np.broadcast_to(atoms, [before[axis] for axis in ins]).reshape([after[axis] for axis in outs])
        kept, dim = rectangular(state, cells)
        if dim is None:
            state.freeze(node, "(reshape) leaves a single channel", labels[held[0]])
        else:
            made[outs[kept]] = dim
    return tuple(made)


def blocks(before: Shape, after: Shape) -> list[tuple[list[int], list[int]]]:
    """The smallest runs of dimensions that a reshape turns into each other; dimensions of size 1 are left out."""
    ins = [axis for axis, size in enumerate(before) if size != 1]
    outs = [axis for axis, size in enumerate(after) if size != 1]
    found: list[tuple[list[int], list[int]]] = []
    while ins and outs:
        a, b = [ins.pop(0)], [outs.pop(0)]
        while (have := math.prod(before[i] for i in a)) != (want := math.prod(after[i] for i in b)):
            (a if have < want else b).append((ins if have < want else outs).pop(0))
        found.append((a, b))
    return found


def rectangular(state: Labelling, cells: Atoms) -> tuple[int, Dim]:
    """Axis of an array of atoms that keeps its atoms, and these atoms; atoms along the other axes are united."""
    varying = [axis for axis in range(cells.ndim) if (cells != cells.take([0], axis)).any()]
    if not varying:
        return 0, None
    axis = varying[-1]
    along = np.moveaxis(cells, axis, -1).reshape(-1, cells.shape[axis])
    state.classes.unite(along, np.broadcast_to(along[:1], along.shape))
    return axis, along[0].copy()


@RULES.of("expand")
def _expand(state: Labelling, node: fx.Node) -> Labels:
    source, shape = node.args[0], shape_of(node) or ()
    assert isinstance(source, fx.Node)
    given, before = state.of[source], shape_of(source) or ()
    if isinstance(node.kwargs.get("size"), fx.Node):
        return state.freeze_inputs(node, "takes its sizes from another tensor")
    new = len(shape) - len(before)
    grown = [axis for axis, size in enumerate(before) if size != shape[axis + new]]
    state.freeze(node, "spreads this one channel", *(given[axis] for axis in grown))
    return (*(None,) * new, *(None if axis in grown else dim for axis, dim in enumerate(given)))


@RULES.of("roll")
def _roll(state: Labelling, node: fx.Node) -> Labels:
    given = state.input(node)
    for axis in axes_of(node.kwargs.get("dims"), len(given)):
        state.freeze(node, "(roll) moves them along", given[axis])
    return given


@RULES.of("pad")
def _pad(state: Labelling, node: fx.Node) -> Labels:
    """Labels of a pad: padded channels hold a constant. A shortcut that pads channels is tied to those of its block."""
    given, amounts = list(state.input(node)), node.kwargs["pad"]
    if not isinstance(amounts, (tuple, list)) or not all(isinstance(n, int) for n in amounts):
        return state.freeze_inputs(node, "pads by what is not known beforehand")
    for number in range(len(amounts) // 2):
        before, after = int(amounts[2 * number]), int(amounts[2 * number + 1])  # type: ignore[arg-type]  # a number, in canonical form
        axis = len(given) - 1 - number
        dim = given[axis]
        if dim is None or (before, after) == (0, 0):
            continue
        if min(before, after) < 0 or node.kwargs.get("mode", "constant") != "constant":
            state.freeze(node, "(pad) copies or cuts channels", dim)
            given[axis] = None
        else:
            given[axis] = np.concatenate((state.classes.fresh(before), dim, state.classes.fresh(after)))
    return tuple(given)


@RULES.of("pixel_shuffle")
def _pixel_shuffle(state: Labelling, node: fx.Node) -> Labels:
    """Labels of a pixel shuffle, ``[.., C r^2, H, W]`` to ``[.., C, H r, W r]``: r^2 channels become one."""
    given = state.input(node)
    channels = given[-3]
    state.freeze(node, "moves pixels along this dimension", *given[-2:])
    if channels is not None:
        grouped = channels.reshape(-1, int(node.kwargs["upscale_factor"]) ** 2)  # type: ignore[arg-type]  # a number, in canonical form
        state.classes.unite(grouped, np.broadcast_to(grouped[:, :1], grouped.shape))
        channels = grouped[:, 0].copy()
    return (*given[:-3], channels, None, None)


@RULES.of("channel_shuffle")
def _channel_shuffle(state: Labelling, node: fx.Node) -> Labels:
    """Labels of a channel shuffle, ``[G, C/G]`` to ``[C/G, G]``; the number of groups stays."""
    given, groups = state.input(node), int(node.kwargs["groups"])  # type: ignore[arg-type]  # a number, in canonical form
    if given[1] is None:
        return given
    grouped = given[1].reshape(groups, -1)
    state.classes.unite(grouped, np.broadcast_to(grouped[:1], grouped.shape))
    return (given[0], grouped.T.ravel(), *given[2:])


@RULES.of("slice")
def _slice(state: Labelling, node: fx.Node) -> Labels:
    given, index = state.input(node), node.args[1]
    expanded = full_index(index if isinstance(index, tuple) else (index,), len(given))
    if expanded is None:
        return state.freeze_inputs(node, "selects what is not known beforehand")
    made: list[Dim] = []
    axis = 0
    for part in expanded:
        if part is None:
            made.append(None)
            continue
        dim = given[axis]
        axis += 1
        if isinstance(part, int):
            state.freeze(node, "picks one channel", dim)
        else:
            made.append(_sliced(state, node, dim, part))
    return tuple(made)


def _sliced(state: Labelling, node: fx.Node, dim: Dim, part: slice) -> Dim:
    if dim is None or part == slice(None):
        return dim
    if any(isinstance(bound, fx.Node) for bound in (part.start, part.stop, part.step)) or part.step not in (None, 1):
        state.freeze(node, "(slice) steps over channels", dim)
        return None
    taken = dim[part]
    if len(taken) < 2:
        state.freeze(node, "takes a single channel", taken)
    return taken


def full_index(index: tuple[Any, ...], rank: int) -> list[Any] | None:
    """An index with one entry for each dimension and each new dimension (None); None if the index holds tensors."""
    if any(is_tensor(i) or isinstance(i, (tuple, list, bool)) for i in index):
        return None
    if any(not isinstance(i, (int, slice, fx.Node, type(None), type(Ellipsis))) for i in index):
        return None
    if any(isinstance(i, fx.Node) for i in index):
        return None
    named = sum(i is not None and i is not Ellipsis for i in index)
    rest = [slice(None)] * (rank - named)
    if Ellipsis in index:
        at = index.index(Ellipsis)
        return [*index[:at], *rest, *index[at + 1 :]]
    return [*index, *rest]
