"""Compute once what does not depend on the inputs: masks, position tables, views of weights.

Exact: the same operators run on the same values, now instead of at every call. ``symbolic_trace`` does the same as it
goes, because it runs whatever is not fed by a proxy; here it is done for graphs from ``torch.export``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from .ownership import tensor_at


def fold_constants(gm: fx.GraphModule) -> None:
    """Replace every node that depends on no input by the tensor it computes; ``gm`` itself is changed."""
    values: dict[fx.Node, Any] = {}
    for node in list(gm.graph.nodes):
        if node.op == "get_attr":
            values[node] = tensor_at(gm, str(node.target))
        elif node.op == "call_function" and _is_pure(node) and all(a in values for a in node.all_input_nodes):
            args, kwargs = fx.node.map_arg((node.args, node.kwargs), values.__getitem__)
            with torch.no_grad():
                values[node] = node.target(*args, **kwargs)
    for node, value in values.items():
        if node.op != "get_attr" and isinstance(value, Tensor) and any(u not in values for u in node.users):
            _replace(gm, node, value)
    gm.graph.eliminate_dead_code()
    gm.recompile()


def _is_pure(node: fx.Node) -> bool:
    """Whether a node gives the same at every call."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return bool(node.all_input_nodes)
    random = torch.Tag.nondeterministic_seeded in node.target.tags
    return not random and not node.target._schema.is_mutable


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
