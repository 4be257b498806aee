"""Compute values that do not depend on the inputs once: masks, position tables, weights computed from other weights.

Exact: the same operators run on the same values, at capture instead of at every call. For FLOAT graphs only: in a
QUANTIZED graph this would turn integer weights back into float.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from ...graph.ownership import drop_unread_tensors, tensor_at


def fold_constants(gm: fx.GraphModule) -> None:
    """Replace every node that depends on no input by its value, in place.

    The graph must have no in-place operators.
    """
    values: dict[fx.Node, Any] = {}
    for node in list(gm.graph.nodes):
        tensor = tensor_at(gm, str(node.target)) if node.op == "get_attr" else None
        if tensor is not None:
            values[node] = tensor
        elif _is_pure(node) and all(a in values for a in node.all_input_nodes):
            values[node] = _compute(gm, node, values)
    for node, value in values.items():
        if node.op != "get_attr" and isinstance(value, Tensor) and any(u not in values for u in node.users):
            _replace(gm, node, value)
    gm.graph.eliminate_dead_code()
    gm.delete_all_unused_submodules()
    drop_unread_tensors(gm)
    gm.recompile()


def _is_pure(node: fx.Node) -> bool:
    """Whether a node gives the same result at every call with the same arguments."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return node.op in ("call_function", "call_method", "call_module") and bool(node.all_input_nodes)
    random = torch.Tag.nondeterministic_seeded in node.target.tags
    return not random and not node.target._schema.is_mutable


def _compute(gm: fx.GraphModule, node: fx.Node, values: dict[fx.Node, Any]) -> Any:
    args, kwargs = fx.node.map_arg((node.args, node.kwargs), values.__getitem__)
    with torch.no_grad():
        if not isinstance(node.target, str):
            return node.target(*args, **kwargs)
        if node.op == "call_module":
            return gm.get_submodule(node.target)(*args, **kwargs)
        return getattr(args[0], node.target)(*args[1:], **kwargs)


def _replace(gm: fx.GraphModule, node: fx.Node, value: Tensor) -> None:
    number = 0
    while hasattr(gm, f"_tensor_constant{number}"):
        number += 1
    gm.register_buffer(f"_tensor_constant{number}", value.detach())
    with gm.graph.inserting_before(node):
        constant = gm.graph.get_attr(f"_tensor_constant{number}")
    constant.meta = dict(node.meta)
    node.replace_all_uses_with(constant)
    gm.graph.erase_node(node)
