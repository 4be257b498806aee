"""Remove casts of tensors to their own type, which models contain for mixed precision, and copies into other tensors.

Exact. Casts must go early: integer tensors get other types than their float neighbours, and a graph in half precision
has other types than the model. Copies come from assignments such as ``y[:, 2:4] = z``, which ``torch.export`` writes as
``aten.copy``: it has no gradient, and keeps a tensor alive of which only the shape matters.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from ...graph.meta_keys import DTYPE, SHAPE
from ...graph.shapes import carried_meta

_CASTS = frozenset(
    {
        "to",
        "type_as",
        "float",
        torch.ops.aten.to.dtype,
        torch.ops.aten._to_copy.default,
    }  # as methods, and as ATen calls
)
_ORDER = ("dtype", "non_blocking", "copy")
_HARMLESS = {"non_blocking": (False, True), "copy": (False,)}


def drop_needless_casts(gm: fx.GraphModule) -> None:
    """Remove casts of float32 tensors to float32; ``gm`` itself is changed. Its shapes must be recorded."""
    for node in list(gm.graph.nodes):
        if node.op in ("call_method", "call_function") and node.target in _CASTS and _is_needless(node):
            node.replace_all_uses_with(node.args[0])
            gm.graph.erase_node(node)


def replace_copies(gm: fx.GraphModule) -> None:
    """Write ``aten.copy(into, source)`` as its source, broadcast and cast; ``gm`` itself is changed."""
    for node in list(gm.graph.nodes):
        if node.target is not torch.ops.aten.copy.default or SHAPE not in node.meta:
            continue
        into, made = node.args[0], node.args[1]
        with gm.graph.inserting_before(node):
            if made.meta.get(SHAPE) != node.meta[SHAPE]:
                made = gm.graph.call_method("expand_as", (made, into))
                made.meta = {**carried_meta(node), DTYPE: node.args[1].meta.get(DTYPE)}
            if made.meta.get(DTYPE) is not node.meta[DTYPE]:
                made = gm.graph.call_method("to", (made,), {"dtype": node.meta[DTYPE]})
                made.meta = carried_meta(node)
        node.replace_all_uses_with(made)
        gm.graph.erase_node(node)


def _is_needless(node: fx.Node) -> bool:
    source, *rest = node.args
    if not isinstance(source, fx.Node) or {source.meta.get(DTYPE), node.meta.get(DTYPE)} != {torch.float32}:
        return False
    if node.target in ("type_as", "float"):
        return True
    settings = dict(zip(_ORDER, rest, strict=False)) | node.kwargs
    return _is_type(settings.pop("dtype", None)) and all(v in _HARMLESS.get(k, ()) for k, v in settings.items())


def _is_type(value: Any) -> bool:
    """Whether an argument is a dtype, or the dtype of a tensor; with a device a cast could also move data."""
    if isinstance(value, fx.Node):
        return value.target is getattr and tuple(value.args[1:]) == ("dtype",)
    return isinstance(value, torch.dtype)
