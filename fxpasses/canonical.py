"""Rewrite a captured graph into canonical form: out-of-place, one spelling for each operator.

Exact: every rewrite calls the same kernel with the same arguments. What cannot be rewritten exactly (an in-place
operation on a tensor whose memory others read later) raises GraphError, in :mod:`fxpasses.inplace`.
"""

from __future__ import annotations

import operator
from typing import Any

from torch import fx

from .inplace import make_out_of_place
from .lifting import lift_layers
from .operator_table import VOCABULARY
from .operators import Operator, Spelling
from .shapes import is_tensor, shape_of

_HARMLESS: dict[str, tuple[Any, ...]] = {
    "return_indices": (False,),
    "training": (False,),
    "dtype": (None,),
    "alpha": (1,),
    "antialias": (False,),
    "rounding_mode": (None,),
}
"""Parameters outside the canonical settings, with the values at which leaving them out changes nothing."""

_IGNORED = frozenset({"inplace", "_stacklevel", "p", "memory_format"})
_VARIADIC = frozenset({"shape", "dims", "size"})


def canonicalize(gm: fx.GraphModule) -> None:
    """Rewrite ``gm`` in place. Shapes must have been recorded."""
    make_out_of_place(gm)
    lift_layers(gm)
    for node in list(gm.graph.nodes):
        _canonicalize_node(gm, node)
    _open_splits(gm)
    gm.graph.eliminate_dead_code()
    gm.delete_all_unused_submodules()
    gm.graph.lint()
    gm.recompile()


def bind(gm: fx.GraphModule, node: fx.Node, spelling: Spelling) -> dict[str, Any] | None:
    """A node's arguments by canonical name; None if it was called in a way the vocabulary does not know."""
    bound: dict[str, Any] = dict(spelling.fixed)
    names = spelling.parameters
    if node.op == "call_module":
        module = gm.get_submodule(str(node.target))
        bound |= {spelling.rename.get(n, n): getattr(module, n) for n in names}
        bound["input"] = node.args[0] if node.args else node.kwargs.get("input")
        return bound
    args = list(node.args)
    if len(args) > len(names) and names[-1] in _VARIADIC:
        args[len(names) - 1 :] = [tuple(args[len(names) - 1 :])]
    if len(args) > len(names):
        return None
    given = dict(zip(names, args, strict=False)) | dict(node.kwargs)
    for name in _VARIADIC & given.keys():
        if not isinstance(given[name], (tuple, list)):
            given[name] = (given[name],)
    return bound | {spelling.rename.get(n, n): v for n, v in given.items()}


def _canonicalize_node(gm: fx.GraphModule, node: fx.Node) -> None:
    found = VOCABULARY.spelling(gm, node)
    if found is None or found[0].function is None or shape_of(node) is None and "shape" not in node.meta:
        return
    op, spelling = found
    bound = bind(gm, node, spelling)
    if bound is None:
        return
    op, bound = _specialize(op, bound)
    call = _canonical_call(op, bound)
    if call is None:
        return
    with gm.graph.inserting_before(node):
        new = gm.graph.call_function(op.function, *call)  # type: ignore[arg-type]  # checked above: not None
    new.meta = dict(node.meta)
    node.replace_all_uses_with(new)
    gm.graph.erase_node(node)


def _specialize(op: Operator, bound: dict[str, Any]) -> tuple[Operator, dict[str, Any]]:
    """Turn a general operator into the particular one its settings make it."""
    if op.name == "clip" and bound.get("max") is None and bound.get("min") == 0:
        return VOCABULARY["relu"], {"input": bound["input"]}
    if op.name in ("add", "mul") and is_tensor(bound.get("other")) and not is_tensor(bound.get("input")):
        return op, bound | {"input": bound["other"], "other": bound["input"]}
    return op, bound


def _canonical_call(op: Operator, bound: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    names = ("input", "other")[: op.tensors]
    if op.name == "slice":
        return (bound["input"], bound["index"]), {}
    settings = {}
    for name, value in bound.items():
        if name in names or name in _IGNORED:
            continue
        if name in _HARMLESS and value in _HARMLESS[name]:
            continue
        if name not in op.settings:
            return None
        if value is not None:
            settings[name] = value
    if any(name not in bound for name in names):
        return None
    return tuple(bound[name] for name in names), settings


def _open_splits(gm: fx.GraphModule) -> None:
    """``chunk``/``split`` followed by ``getitem`` become plain slices, so that every node yields one tensor."""
    for node in list(gm.graph.nodes):
        op = VOCABULARY.operator(gm, node)
        if op is None or op.name not in ("chunk", "split"):
            continue
        source, shapes = node.args[0], node.meta.get("shape")
        rank = len(shape_of(source) or ())
        dim = int(node.kwargs.get("dim", 0)) % max(rank, 1)
        users = list(node.users)
        if dim == 0 or not isinstance(shapes, list) or not all(_takes_one(u) for u in users):
            continue
        starts = [sum(s[dim] for s in shapes[:i]) for i in range(len(shapes) + 1)]
        for user in users:
            i = int(user.args[1])  # type: ignore[arg-type]  # _takes_one checked it
            index = (slice(None),) * dim + (slice(starts[i], starts[i + 1]),)
            with gm.graph.inserting_before(user):
                piece = gm.graph.call_function(operator.getitem, (source, index))
            piece.meta = dict(user.meta)
            user.replace_all_uses_with(piece)
            gm.graph.erase_node(user)


def _takes_one(user: fx.Node) -> bool:
    return user.target is operator.getitem and isinstance(user.args[1], int) and user.args[1] >= 0
