"""Merge repeated calls: a model that pools one tensor at two places needs the pool only once.

Exact: the values do not change. The ONNX exporter merges equal nodes itself, so without this pass a file would have
fewer integer tensors than the graph.
"""

from __future__ import annotations

from typing import Any

from torch import fx

from ..graph.edit import bypass, operator_name
from ..graph.operator_table import VOCABULARY
from ..graph.operators import Trait
from ..graph.pass_runner import PassResult


def merge_equal_calls(gm: fx.GraphModule) -> PassResult:
    """Give the readers of a repeated call the result of the first call."""
    result = PassResult()
    for node, first in find_equal_calls(gm).items():
        if may_drop_values(gm, node):
            result.skip(node, f"like {first.name} it may be a dropout told to drop values, others each time")
            continue
        result.change(node, f"merged into {first.name}")
        bypass(gm, node, first)
    return result


def find_equal_calls(gm: fx.GraphModule) -> dict[fx.Node, fx.Node]:
    """Repeated calls of an operator with the same arguments, each with the first such call; in graph order."""
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
    """Whether a node is a dropout, or another operator that is an identity at inference."""
    found = VOCABULARY.spelling(gm, node)
    return found is not None and Trait.PASSES in found[0].traits
