"""Cut a graph into blocks with one tensor between them.

A tensor is a cut if everything after it depends on the inputs only through it: the result of a residual sum is a cut,
tensors inside the branch are not. Constants and parameters belong to the block that reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import fx

from .graph_module import RecordedModule


def cut_points(graph: fx.Graph) -> list[fx.Node]:
    """The nodes that all data passes through, in order, without inputs and output."""
    data = _data_nodes(graph)
    place = {node: i for i, node in enumerate(data)}
    last_use = [max((place[user] for user in node.users if user in place), default=-1) for node in data]
    found, reach = [], -1
    for i, node in enumerate(data):
        if reach <= i and node.op not in ("placeholder", "output"):
            found.append(node)
        reach = max(reach, last_use[i])
    return found


def _data_nodes(graph: fx.Graph) -> list[fx.Node]:
    """Inputs first, then nodes that depend on an input, then the output."""
    found: dict[fx.Node, None] = dict.fromkeys(n for n in graph.nodes if n.op == "placeholder")
    for node in graph.nodes:
        if node.op == "output" or any(n in found for n in node.all_input_nodes):
            found[node] = None
    return list(found)


def part(gm: fx.GraphModule, sources: Sequence[fx.Node], result: Any) -> fx.GraphModule:
    """The part of a graph that computes ``result`` from ``sources``, as a module that shares parameters with ``gm``.

    Args:
        result: a node, or nested tuples, lists and dicts of nodes; it must depend on the inputs only through
            ``sources``.
    """
    graph = fx.Graph()
    env = {node: graph.placeholder(node.name) for node in sources}
    needed: set[fx.Node] = set()
    waiting: list[fx.Node] = []
    fx.node.map_arg(result, waiting.append)
    while waiting:
        node = waiting.pop()
        if node not in needed and node not in env:
            needed.add(node)
            waiting += node.all_input_nodes
    for node in gm.graph.nodes:
        if node in needed:
            env[node] = graph.node_copy(node, env.__getitem__)
    graph.output(fx.node.map_arg(result, env.__getitem__))
    return RecordedModule(gm, graph, "Block").eval()
