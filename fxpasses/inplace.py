"""In-place operators become out-of-place ones.

``x.relu_()`` writes into ``x``; whoever reads ``x`` afterwards reads the new values. Out of place, those later
readers are handed the new node instead. Exact, as long as nobody reads the changed memory through another name
(a view of it); that is refused.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator

import torch
from torch import fx

from .errors import GraphError
from .operator_table import VOCABULARY
from .shapes import is_tensor

_OPERATORS = frozenset({operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.imatmul})
_VIEWS = frozenset(
    "flatten reshape permute transpose squeeze unsqueeze chunk split slice expand identity".split()
)  # pixel_shuffle, pad and roll always copy


def is_in_place(gm: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node writes into its first argument."""
    if not node.args or not is_tensor(node.args[0]):
        return False
    if node.op == "call_module":
        return bool(getattr(gm.get_submodule(str(node.target)), "inplace", False))
    if node.kwargs.get("inplace") is True:
        return True
    if node.target in _OPERATORS:
        return True
    if isinstance(node.target, torch._ops.OpOverload):
        return bool(node.target._schema.is_mutable)
    name = node.target if node.op == "call_method" else getattr(node.target, "__name__", "")
    return isinstance(name, str) and name.endswith("_") and not name.endswith("__")


def make_out_of_place(gm: fx.GraphModule) -> None:
    """Hand later readers of a changed tensor its new value.

    The nodes keep their spelling; :func:`~fxpasses.canonical.canonicalize` then rewrites them to the out-of-place
    call.

    Raises:
        GraphError: the memory is read later through a view, or the operator is not in the vocabulary.
    """
    order = {node: i for i, node in enumerate(gm.graph.nodes)}
    memory = _memory_groups(gm)
    for node in list(gm.graph.nodes):
        if not is_in_place(gm, node):
            continue
        changed = node.args[0]
        assert isinstance(changed, fx.Node)
        if VOCABULARY.spelling(gm, node) is None and VOCABULARY.operator(gm, node) is None:
            raise GraphError.at_node(
                node,
                why="it changes its input in place, and the vocabulary does not know its out-of-place form",
                fix="write it out of place, or capture(..., method='export'), which does so itself",
                step="capture",
            )
        for alias in memory.get(changed, ()):
            later = [u for u in alias.users if order[u] > order[node]]
            if alias is not changed and alias is not node and order[alias] < order[node] and later:
                raise GraphError.at_node(
                    node,
                    why=f"it changes {changed.name!r} in place, and {later[0].name!r} reads the same memory later "
                    f"through {alias.name!r}",
                    fix="write it out of place, or capture(..., method='export'), which does so itself",
                    step="capture",
                )
        for user in [u for u in changed.users if order[u] > order[node]]:
            user.replace_input_with(changed, node)


def _memory_groups(gm: fx.GraphModule) -> dict[fx.Node, list[fx.Node]]:
    """For every tensor, all nodes that may share its memory (itself included)."""
    groups: dict[fx.Node, list[fx.Node]] = {}
    for node in gm.graph.nodes:
        base = next(_viewed(gm, node), None)
        group = groups.get(base) if base is not None else None
        groups[node] = [] if group is None else group
        groups[node].append(node)
    return groups


def _viewed(gm: fx.GraphModule, node: fx.Node) -> Iterator[fx.Node]:
    """The tensor a node is, or may be, a view of."""
    found = VOCABULARY.spelling(gm, node)
    is_view = (found is not None and found[0].name in _VIEWS) or node.target is getattr
    if (is_view or is_in_place(gm, node)) and node.args and isinstance(node.args[0], fx.Node):
        yield node.args[0]
