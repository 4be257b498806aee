"""The only ways a pass looks into, or changes, a graph."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, fx, nn

from .errors import GraphError
from .operator_table import VOCABULARY
from .operators import Operator

M = TypeVar("M", bound=nn.Module)


def module_of(gm: fx.GraphModule, node: fx.Node, kind: type[M] | tuple[type[M], ...]) -> M:
    """The module a node calls.

    Raises:
        GraphError: the node calls no module of that kind.
    """
    module = gm.get_submodule(str(node.target)) if node.op == "call_module" else None
    if not isinstance(module, kind):
        names = [k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,))]
        raise GraphError.at_node(
            node, why=f"expected a call of {' or '.join(names)}, found {type(module).__name__}", fix="capture it again"
        )
    return module


def operator_name(gm: fx.GraphModule, node: fx.Node) -> str | None:
    """The name of a node's operator, or None outside the vocabulary."""
    operator = VOCABULARY.operator(gm, node)
    return operator.name if operator else None


def operator_of(gm: fx.GraphModule, node: fx.Node) -> Operator | None:
    return VOCABULARY.operator(gm, node)


def call_sites(gm: fx.GraphModule, node: fx.Node) -> list[fx.Node]:
    """All nodes that call the module this node calls, itself included, under whatever name."""
    module = gm.get_submodule(str(node.target))
    return [n for n in gm.graph.nodes if n.op == "call_module" and gm.get_submodule(str(n.target)) is module]


def only_reader(node: fx.Node) -> fx.Node | None:
    """The one node that reads this one; None if nobody does, or several, or one reads it twice."""
    readers = list(node.users)
    if len(readers) != 1 or sum(n is node for n in readers[0].all_input_nodes) != 1:
        return None
    return readers[0]


def bypass(gm: fx.GraphModule, node: fx.Node, source: fx.Node) -> None:
    """Hand a node's readers its input instead, and erase it."""
    node.replace_all_uses_with(source)
    gm.graph.erase_node(node)
    gm.delete_all_unused_submodules()


def insert_call(
    gm: fx.GraphModule, before: fx.Node, function: Callable[..., Any], *args: Any, like: fx.Node | None = None, **kw: Any
) -> fx.Node:
    """Insert a ``call_function`` node before another; it inherits shape, dtype and source line of ``like``."""
    with gm.graph.inserting_before(before):
        node = gm.graph.call_function(function, args, kw)
    if like is not None:
        node.meta = dict(like.meta)
    return node


def replace_node(gm: fx.GraphModule, node: fx.Node, new: fx.Node) -> None:
    """Hand a node's readers another node, and erase it."""
    node.replace_all_uses_with(new, delete_user_cb=lambda user: user is not new)
    gm.graph.erase_node(node)


def with_parameters(module: M, **parameters: Tensor | None) -> M:
    """A module with the same settings and other parameters; the module handed in is not touched."""
    twin = copy.copy(module)
    twin._parameters = dict(module._parameters)
    for name, value in parameters.items():
        trainable = None if value is None else nn.Parameter(value.detach().contiguous())
        twin.register_parameter(name, trainable)
    return twin


def add_module(gm: fx.GraphModule, name: str, module: nn.Module) -> str:
    """Add a module under ``name``, made unique; returns the name it got."""
    taken = {path for path, _ in gm.named_modules()}
    unique, i = name, 1
    while unique in taken or hasattr(gm, unique.split(".")[0]) and "." not in unique:
        unique, i = f"{name}_{i}", i + 1
    gm.add_submodule(unique, module)
    return unique


def is_finite(*tensors: Tensor | None) -> bool:
    """Whether all values of all given tensors are finite."""
    return all(t is None or bool(torch.isfinite(t).all()) for t in tensors)
