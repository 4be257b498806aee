"""``topk`` of a QUANTIZED graph takes equal values in the order of their indices, as ONNX does.

A convolution's int8 scores have 256 different values at most, so that many of thousands of candidates have equal ones.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx

from .first_topk import first_topk

_TARGETS = frozenset({torch.topk, "topk", torch.ops.aten.topk.default})
_PARAMETERS = ("input", "k", "dim", "largest", "sorted")
_FIELDS = {"values": 0, "indices": 1}


def order_ties(gm: fx.GraphModule) -> list[fx.Node]:
    """Replace calls of ``topk`` by :mod:`fxpasses.quantization.selection.first_topk`; return the new nodes."""
    made = []
    for node in list(gm.graph.nodes):
        if node.op not in ("call_function", "call_method") or node.target not in _TARGETS:
            continue
        if not all(_field_of(user) is not None for user in node.users):
            continue  # the whole named tuple is read, by the caller or by an operator
        bound = dict(zip(_PARAMETERS, node.args, strict=False)) | dict(node.kwargs)
        settings: dict[str, Any] = {name: bound[name] for name in ("dim", "largest") if name in bound}
        with gm.graph.inserting_before(node):
            new = gm.graph.call_function(first_topk, (bound["input"], bound["k"]), settings)
        new.meta = dict(node.meta)
        for user in list(node.users):
            user.target, user.args = operator.getitem, (new, _field_of(user))
        gm.graph.erase_node(node)
        made.append(new)
    return made


def _field_of(reader: fx.Node) -> int | None:
    """Index of the result that a reader of ``topk`` takes: 0 for values, 1 for indices; None if it takes both."""
    if reader.op != "call_function" or reader.target not in (operator.getitem, getattr):
        return None
    field = reader.args[1]
    if isinstance(field, str):
        return _FIELDS.get(field)
    return field % 2 if isinstance(field, int) else None
