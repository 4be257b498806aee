"""Merge calls that compute the same from the same: a model that pools one tensor at two places needs it once.

Exact: the values that flow are the same ones. Without it the ONNX exporter, which merges equal nodes itself, would
leave a file with fewer integer tensors than the graph has.
"""

from __future__ import annotations

from typing import Any

from torch import fx

from ..graph.edit import bypass, operator_name
from ..graph.operator_table import VOCABULARY
from ..graph.pass_runner import PassResult


def merge_equal_calls(gm: fx.GraphModule) -> PassResult:
    """Hand the readers of a repeated call the first one's result."""
    result = PassResult()
    for node, first in find_equal_calls(gm).items():
        if may_drop_values(gm, node):
            result.skip(node, f"like {first.name} it may be a dropout told to drop values, others each time")
            continue
        result.change(node, f"merged into {first.name}")
        bypass(gm, node, first)
    return result


def find_equal_calls(gm: fx.GraphModule) -> dict[fx.Node, fx.Node]:
    """Each repeated call of an operator, and the first call of the same on the same; in graph order."""
    first: dict[tuple[Any, ...], fx.Node] = {}
    repeated: dict[fx.Node, fx.Node] = {}
    same: dict[fx.Node, fx.Node] = {}
    for node in gm.graph.nodes:
        drops = may_drop_values(gm, node)
        if not drops and operator_name(gm, node) is None:
            continue
        arguments = fx.node.map_arg((node.args, node.kwargs), lambda n: ("node", same.get(n, n).name))
        key = (node.op, node.target, repr(arguments))
        if first.setdefault(key, node) is not node:
            repeated[node] = first[key]
            if not drops:
                same[node] = first[key]
    return repeated


def may_drop_values(gm: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node is a dropout, or another identity at inference, that is still there."""
    found = VOCABULARY.spelling(gm, node)
    return found is not None and found[0].name == "identity"
