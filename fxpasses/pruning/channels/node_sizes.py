"""Updates sizes that are written into a graph: those of reshapes, slices, pads and scales, after channels are removed.

A size that the graph reads from a tensor keeps its old value (a scale of ``1 / sqrt(x.shape[-1])`` belongs to the
trained weights); shapes that hold channel counts are rewritten.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import fx

from ...graph.edit import operator_name
from ...graph.shapes import shape_of
from ..dependencies.atoms import Atoms
from ..dependencies.labels import Dim, is_unflatten
from ..dependencies.move_rules import full_index
from .channel_plan import Removal


def fix_sizes(removal: Removal, nodes: Mapping[fx.Node, fx.Node]) -> None:
    """Rewrite the settings of the copies, the values of ``nodes``, to the sizes that are left."""
    gm = removal.dependencies.gm
    for node, twin in nodes.items():
        name = operator_name(gm, node)
        if name in _FIXES:
            _FIXES[name](removal, node, twin)
        elif is_unflatten(node):
            _fix_unflatten(removal, node, twin)
        elif node.op == "call_method" and node.target == "size" and len(node.args) == 2:
            _fix_answer(removal, node.args[0], node.args[1], twin)
        elif node.target is operator.getitem:
            _fix_picked(removal, node, twin)


def _labels(removal: Removal, node: object) -> tuple[Dim, ...]:
    return removal.dependencies.labelling.of.get(node, ()) if isinstance(node, fx.Node) else ()


def _changed(removal: Removal, dim: Dim) -> bool:
    return dim is not None and not bool(removal.keeps(dim).all())


def _fix_shape(removal: Removal, node: fx.Node, twin: fx.Node, setting: str) -> None:
    labels, written = _labels(removal, node), twin.kwargs.get(setting)
    if not isinstance(written, (tuple, list)):
        return
    sizes = list(written)
    for axis, dim in enumerate(labels):
        if dim is not None and _changed(removal, dim) and sizes[axis] != -1:
            sizes[axis] = removal.kept_size(dim, len(dim))
    twin.kwargs = {**twin.kwargs, setting: tuple(sizes)}


def _fix_unflatten(removal: Removal, node: fx.Node, twin: fx.Node) -> None:
    sizes, labels = twin.args[2], _labels(removal, node)
    assert isinstance(sizes, (tuple, list)) and isinstance(node.args[1], int)
    start = node.args[1] % (len(labels) - len(sizes) + 1)
    parts = labels[start : start + len(sizes)]
    fixed = [
        s if dim is None or s == -1 else removal.kept_size(dim, len(dim)) for s, dim in zip(sizes, parts, strict=True)
    ]
    twin.args = (*twin.args[:2], tuple(fixed))


def _fix_pad(removal: Removal, node: fx.Node, twin: fx.Node) -> None:
    amounts = twin.kwargs["pad"]
    if not isinstance(amounts, (tuple, list)):
        return
    labels, fixed = _labels(removal, node), list(amounts)
    for number in range(len(fixed) // 2):
        dim = labels[len(labels) - 1 - number]
        if dim is not None and _changed(removal, dim):
            kept, before, after = removal.keeps(dim), int(fixed[2 * number]), int(fixed[2 * number + 1])
            fixed[2 * number] = int(kept[:before].sum())
            fixed[2 * number + 1] = int(kept[len(kept) - after :].sum())
    twin.kwargs = {**twin.kwargs, "pad": tuple(fixed)}


def _fix_slice(removal: Removal, node: fx.Node, twin: fx.Node) -> None:
    given, index = _labels(removal, node.args[0]), twin.args[1]
    as_tuple = index if isinstance(index, tuple) else (index,)
    expanded = full_index(as_tuple, len(given))
    if expanded is None:
        return
    axis, fixed = 0, list[Any]()
    for part in expanded:
        if part is None:
            fixed.append(None)
            continue
        dim = given[axis]
        axis += 1
        fixed.append(_slice_of(removal, dim, part) if dim is not None and isinstance(part, slice) else part)
    if fixed != expanded:
        twin.args = (twin.args[0], tuple(fixed))


def _fix_item(removal: Removal, node: fx.Node, twin: fx.Node) -> None:
    """Fix what ``[...]`` takes: a part of a tensor, or one of the sizes that a node gives."""
    fix = _fix_slice if node.args[0] in removal.dependencies.labelling.of else _fix_picked
    fix(removal, node, twin)


def _fix_picked(removal: Removal, node: fx.Node, twin: fx.Node) -> None:
    asked = node.args[0]
    if isinstance(asked, fx.Node) and (asked.target == "size" or asked.target is getattr):
        _fix_answer(removal, asked.args[0], node.args[1], twin)


def _slice_of(removal: Removal, dim: Atoms, part: slice) -> slice:
    if part == slice(None) or not _changed(removal, dim):
        return part
    start, stop, _ = part.indices(len(dim))
    kept = removal.keeps(dim)
    return slice(int(kept[:start].sum()), int(kept[:stop].sum()))


def _fix_scale(removal: Removal, node: fx.Node, twin: fx.Node) -> None:
    width = _labels(removal, node.args[0])[-1]
    if width is not None and _changed(removal, width) and twin.kwargs.get("scale") is None:
        twin.kwargs = {**twin.kwargs, "scale": 1 / math.sqrt(len(width))}


def _fix_answer(removal: Removal, asked: object, axis: object, twin: fx.Node) -> None:
    """Keep the old value of a size that was read from a shrunk dimension; reshapes are rewritten where it matters."""
    labels = _labels(removal, asked)
    if not isinstance(axis, int) or not isinstance(asked, fx.Node) or not -len(labels) <= axis < len(labels):
        return
    dim = labels[axis]
    if dim is None or not _changed(removal, dim):
        return
    size = (shape_of(asked) or ())[axis]
    for user in list(twin.users):
        user.args = fx.node.map_arg(user.args, lambda n: size if n is twin else n)
        user.kwargs = fx.node.map_arg(user.kwargs, lambda n: size if n is twin else n)


_FIXES: dict[str | None, Callable[[Removal, fx.Node, fx.Node], None]] = {
    "reshape": partial(_fix_shape, setting="shape"),
    "expand": partial(_fix_shape, setting="size"),
    "pad": _fix_pad,
    "slice": _fix_item,
    "scaled_dot_product_attention": _fix_scale,
}
"""Functions that rewrite the sizes in a call, by its operator."""
