"""Rewrite a captured graph into canonical form: one spelling for each operator, one tensor for each node.

Exact: every rewrite calls the same kernel with the same arguments. Calls that cannot be rewritten exactly are not
changed and have no known operator.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx

from ..graph.binding import bind as bind
from ..graph.meta_keys import DTYPE, SHAPE
from ..graph.operator_table import VOCABULARY
from ..graph.operators import Operator, Trait
from ..graph.ownership import drop_unread_tensors
from ..graph.shapes import is_tensor, shape_of
from .lifting import lift_layers
from .rewrites.casts import drop_needless_casts, replace_copies
from .rewrites.complex_views import open_complex_views

_HARMLESS: dict[str, tuple[Any, ...]] = {
    "return_indices": (False,),
    "training": (False,),
    "dtype": (None,),
    "half_to_float": (False,),
    "implicit": (False,),
    "scale": (1,),
    "input_scale": (1,),
}
"""Parameters outside the canonical settings, with the values for which they may be left out."""

_DEFAULTS: dict[str, Any] = {"alpha": 1, "antialias": False}
"""Default values of settings; a setting with this value is left out, so that every spelling gives the same node."""

_IGNORED = frozenset({"inplace", "_stacklevel", "p", "memory_format"})


def canonicalize(gm: fx.GraphModule) -> None:
    """Rewrite ``gm`` in place. It must have no in-place operators, and recorded shapes."""
    lift_layers(gm)
    drop_needless_casts(gm)
    replace_copies(gm)
    open_complex_views(gm)
    for node in list(gm.graph.nodes):
        if node.target is torch._assert or node.target is torch.ops.aten.sym_size.int:
            _plain_size(gm, node)
        else:
            _canonicalize_node(gm, node)
    _open_splits(gm)
    gm.graph.eliminate_dead_code()
    gm.delete_all_unused_submodules()
    drop_unread_tensors(gm)
    gm.graph.lint()
    gm.recompile()


def _plain_size(gm: fx.GraphModule, node: fx.Node) -> None:
    """Remove a check of shapes, which no runtime keeps, and rewrite ``aten.sym_size`` as ``x.size(dim)``."""
    if node.target is torch.ops.aten.sym_size.int:
        with gm.graph.inserting_before(node):
            size = gm.graph.call_method("size", node.args)
        size.meta = dict(node.meta)
        node.replace_all_uses_with(size)
    gm.graph.erase_node(node)


def _canonicalize_node(gm: fx.GraphModule, node: fx.Node) -> None:
    found = VOCABULARY.spelling(gm, node)
    if found is None or found[0].function is None or SHAPE not in node.meta:
        return
    op, spelling = found
    bound = bind(gm, node, spelling)
    if bound is None:
        return
    if bound.get("return_indices") is True:
        _with_indices(gm, node, op, bound)
        return
    op, bound = _specialize(op, bound)
    call = _canonical_call(op, bound)
    if call is None:
        return
    assert op.function is not None
    if (same := _changes_nothing(op, *call)) is not None:
        node.replace_all_uses_with(same)
        gm.graph.erase_node(node)
        return
    with gm.graph.inserting_before(node):
        new = gm.graph.call_function(op.function, *call)
    new.meta = dict(node.meta)
    node.replace_all_uses_with(new)
    gm.graph.erase_node(node)


def _with_indices(gm: fx.GraphModule, node: fx.Node, op: Operator, bound: dict[str, Any]) -> None:
    """Rewrite a pool that also returns the positions of its maxima; it is another operator, outside the vocabulary."""
    overload = getattr(torch.ops.aten, f"{op.name}_with_indices").default
    settings = {name: bound[name] for name in op.settings if bound.get(name) is not None}
    with gm.graph.inserting_before(node):
        new = gm.graph.call_function(overload, (bound["input"],), settings)
    new.meta = dict(node.meta)
    node.replace_all_uses_with(new)
    gm.graph.erase_node(node)


def _changes_nothing(op: Operator, tensors: tuple[Any, ...], settings: dict[str, Any]) -> fx.Node | None:
    """The input that a call returns unchanged, or None: ATen slices every dimension, and padding by zero is common."""
    asked = _UNCHANGED.get(op.name)
    return asked(tensors, settings) if asked is not None else None


def _of_whole_slice(tensors: tuple[Any, ...], settings: dict[str, Any]) -> fx.Node | None:
    index = tensors[1]
    return tensors[0] if isinstance(index, tuple) and all(i == slice(None) for i in index) else None


def _of_no_padding(tensors: tuple[Any, ...], settings: dict[str, Any]) -> fx.Node | None:
    return tensors[0] if all(isinstance(n, int) and n == 0 for n in settings.get("pad", (1,))) else None


def _of_one_part(tensors: tuple[Any, ...], settings: dict[str, Any]) -> fx.Node | None:
    (parts,) = tensors
    return parts[0] if isinstance(parts, (list, tuple)) and len(parts) == 1 else None


_UNCHANGED: dict[str, Callable[[tuple[Any, ...], dict[str, Any]], fx.Node | None]] = {
    "slice": _of_whole_slice,
    "pad": _of_no_padding,
    "cat": _of_one_part,
}
"""By operator: the input that a call with these tensors and settings returns unchanged; None if it changes it."""


def _not_empty(parts: Any, dim: Any) -> Any:
    """The tensors of a ``cat`` without empty ones, which rotary embeddings without a prefix have."""
    if not isinstance(parts, (list, tuple)) or not isinstance(dim, int) or dim == 0:
        return parts
    left = [p for p in parts if not (is_tensor(p) and 0 in (shape_of(p) or ())[1:])]
    return left or parts


def _specialize(op: Operator, bound: dict[str, Any]) -> tuple[Operator, dict[str, Any]]:
    """Replace a general operator by the specific one for its settings."""
    asked = _SPECIAL.get(op.name)
    if asked is not None:
        return asked(op, bound)
    if Trait.COMMUTES in op.traits and is_tensor(bound.get("other")) and not is_tensor(bound.get("input")):
        if bound.get("alpha", 1) != 1:
            return op, bound
        return op, bound | {"input": bound["other"], "other": bound["input"]}
    return op, bound


def _of_clip(op: Operator, bound: dict[str, Any]) -> tuple[Operator, dict[str, Any]]:
    if bound.get("max") is None and bound.get("min") == 0:
        return VOCABULARY["relu"], {"input": bound["input"]}
    return op, bound


def _of_cat(op: Operator, bound: dict[str, Any]) -> tuple[Operator, dict[str, Any]]:
    return op, bound | {"input": _not_empty(bound.get("input"), bound.get("dim", 0))}


_SPECIAL: dict[str, Callable[[Operator, dict[str, Any]], tuple[Operator, dict[str, Any]]]] = {
    "clip": _of_clip,
    "cat": _of_cat,
}
"""By operator: the operator and arguments that a call with some settings stands for."""


def _canonical_call(op: Operator, bound: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    names = (*op.tensor_names, *op.positional)
    if any(name not in bound for name in names):
        return None
    if op.tensors > 1 and not is_tensor(bound["input"]):
        return None  # `1 - x`: torch.sub takes a number only as its second argument
    settings = {}
    for name, value in bound.items():
        if name in names or name in _IGNORED or value is None:
            continue
        if name in op.settings:
            if name not in _DEFAULTS or value != _DEFAULTS[name]:
                settings[name] = value
        elif value not in (*_HARMLESS.get(name, ()), *_own_dtype(name, bound)):
            return None
    if any(name not in settings for name in op.required):
        return None
    return tuple(bound[name] for name in names), settings


def _own_dtype(name: str, bound: dict[str, Any]) -> tuple[Any, ...]:
    """The type of the input, if a setting is ``dtype``: ``softmax(x, 1, dtype=torch.float32)`` of floats casts none."""
    source = bound.get("input")
    return (source.meta.get(DTYPE),) if name == "dtype" and isinstance(source, fx.Node) else ()


def _open_splits(gm: fx.GraphModule) -> None:
    """Replace ``chunk``, ``split`` and ``unbind`` with ``getitem`` by slices, so that every node yields one tensor."""
    for node in list(gm.graph.nodes):
        op = VOCABULARY.operator(gm, node)
        if op is None or Trait.SPLITS not in op.traits or not all(_takes_one(u) for u in node.users):
            continue
        source, shapes = node.args[0], node.meta.get(SHAPE)
        rank = len(shape_of(source) or ()) if isinstance(source, fx.Node) else 0
        dim = node.kwargs.get("dim", 0)
        if not rank or not isinstance(dim, int) or not isinstance(shapes, list):
            continue
        pieces = PIECES[op.name](dim % rank, shapes)
        if pieces is None:
            continue
        for user in list(node.users):
            index = (slice(None),) * (dim % rank) + (pieces[int(user.args[1])],)
            with gm.graph.inserting_before(user):
                piece = gm.graph.call_function(operator.getitem, (source, index))
            piece.meta = dict(user.meta)
            user.replace_all_uses_with(piece)
            gm.graph.erase_node(user)


def _by_number(dim: int, shapes: list[tuple[int, ...]]) -> list[Any]:
    return list(range(len(shapes)))


def _by_size(dim: int, shapes: list[tuple[int, ...]]) -> list[Any] | None:
    if dim == 0:
        return None
    ends = [sum(s[dim] for s in shapes[: i + 1]) for i in range(len(shapes))]
    return [slice(end - s[dim], end) for end, s in zip(ends, shapes, strict=True)]


PIECES: dict[str, Callable[[int, list[tuple[int, ...]]], list[Any] | None]] = {
    "chunk": _by_size,
    "split": _by_size,
    "unbind": _by_number,
}
"""Index of each part of a split along a dimension; None for a split of the batch, whose size may change.

The table has every operator with :attr:`Trait.SPLITS`.
"""


def _takes_one(user: fx.Node) -> bool:
    """Whether a node reads one part by its number, also a negative one."""
    return user.target is operator.getitem and isinstance(user.args[1], int)
