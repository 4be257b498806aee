"""Ownership of modules: those that belong to a captured graph, and those that belong to the user's model.

A captured graph shares leaf modules and parameters with the model. The containers between the root and the leaves
belong to the graph: they are plain ``nn.Module`` objects that torch.fx and torch.export create to hold dotted names.
Only they may be changed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

from .operator_table import VOCABULARY

_VIEWS = frozenset("transpose permute reshape flatten squeeze unsqueeze slice chunk split unbind".split())
"""Operators that only move a weight's numbers."""


def owned_module(gm: fx.GraphModule, path: str) -> nn.Module | None:
    """The graph's own container at ``path``; None if there is none, or if the module belongs to the user."""
    module: nn.Module = gm
    for name in path.split(".") if path else ():
        child = module._modules.get(name)
        if type(child) is not nn.Module:
            return None
        module = child
    return module


def tensor_at(gm: fx.GraphModule, path: str) -> Tensor | None:
    """The parameter or buffer that a ``get_attr`` node reads; None if it reads something else."""
    value: object = gm
    for name in path.split("."):
        value = getattr(value, name, None)
    return value if isinstance(value, Tensor) else None


def constant_of(gm: fx.GraphModule, node: object) -> Tensor | None:
    """The tensor of a node that does not depend on inputs: a parameter, a buffer, or a view of one; else None.

    A weight that is dequantized in the graph does not count: it belongs to a QUANTIZED graph.
    """
    if not isinstance(node, fx.Node):
        return None
    if node.op == "get_attr":
        return tensor_at(gm, str(node.target))
    value = _constant(gm, node)
    return value if isinstance(value, Tensor) else None


def _constant(gm: fx.GraphModule, node: fx.Node) -> Any:
    if node.op == "get_attr":
        return tensor_at(gm, str(node.target))
    found = VOCABULARY.spelling(gm, node) if node.op in ("call_function", "call_method") else None
    if found is None or found[0].name not in _VIEWS or len(node.all_input_nodes) != 1:
        return None
    source = _constant(gm, node.all_input_nodes[0])
    if source is None:
        return None
    args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda _: source)
    function = getattr(torch.Tensor, node.target) if isinstance(node.target, str) else node.target
    with torch.no_grad():
        return function(*args, **kwargs)


def place_module(gm: fx.GraphModule, wanted: str, module: nn.Module) -> str:
    """Put a module at ``wanted``, or at a similar path if that is taken; return its path.

    A container that holds nothing but the module's own tensors is replaced by the module.
    """
    holder, _, name = wanted.rpartition(".")
    parent = owned_module(gm, holder)
    if parent is None:
        parent, holder, name = gm, "", wanted.replace(".", "_")
    if _makes_room(parent, name, module):
        delattr(parent, name)
    unique, number = name, 1
    while hasattr(parent, unique):
        unique, number = f"{name}_{number}", number + 1
    parent.add_module(unique, module)
    return f"{holder}.{unique}" if holder else unique


def _makes_room(parent: nn.Module, name: str, module: nn.Module) -> bool:
    held = parent._modules.get(name)
    if type(held) is not nn.Module or list(held.children()):
        return False
    coming = dict(module.named_parameters()) | dict(module.named_buffers())
    tensors = dict(held.named_parameters()) | dict(held.named_buffers())
    return all(_same(t, coming.get(n)) for n, t in tensors.items() if n != "num_batches_tracked")


def _same(a: Tensor, b: Tensor | None) -> bool:
    return b is not None and (a is b or (a.data_ptr() == b.data_ptr() and a.shape == b.shape and a.dtype == b.dtype))


def drop_unread_tensors(gm: fx.GraphModule) -> None:
    """Delete parameters and buffers of the graph's own containers that no node reads."""
    read = {str(node.target) for node in gm.graph.nodes if node.op == "get_attr"}
    for path in [name for name, _ in gm.named_modules()]:
        module = owned_module(gm, path)
        if module is None:
            continue
        for name in [*module._parameters, *module._buffers]:
            if (f"{path}.{name}" if path else name) not in read:
                delattr(module, name)


def replace_buffer(gm: fx.GraphModule, path: str, values: Tensor) -> None:
    """Give a buffer other values, of the dtype and layout it has.

    Calls of one layer share the memory of their integers: values copied into it would be those of all calls.
    """
    owner, _, name = path.rpartition(".")
    module = gm.get_submodule(owner)
    setattr(module, name, torch.empty_like(module.get_buffer(name)).copy_(values))
