"""Split nodes that return several outputs into one node per tensor: a GRU's output and state, values and indices.

Exact. A graph's output node then holds only tensors, in the structure that the model returns; torch's own result types,
such as ``torch.return_types.max``, become tuples.
"""

from __future__ import annotations

import operator
from typing import Any

from torch import fx

from ..signature.outputs import is_record, returned


def open_outputs(gm: fx.GraphModule, expected: Any) -> None:
    """Split the values of a graph's output node.

    Args:
        expected: the output of the graph.
    """
    output = next(n for n in gm.graph.nodes if n.op == "output")
    with gm.graph.inserting_before(output):
        opened = _opened(gm.graph, returned(gm), expected)
    output.args = (opened,)
    gm.recompile()


def _opened(graph: fx.Graph, held: Any, value: Any) -> Any:
    if isinstance(held, fx.Node):
        return held if is_record(held.target) or hasattr(value, "_fields") else _items(graph, held, value)
    if isinstance(held, dict) and isinstance(value, dict):
        return {key: _opened(graph, part, value[key]) for key, part in held.items()}
    if isinstance(held, (tuple, list)) and isinstance(value, (tuple, list)):
        parts = [_opened(graph, part, inner) for part, inner in zip(held, value, strict=True)]
        return parts if isinstance(held, list) else tuple(parts)
    return held


def _items(graph: fx.Graph, node: fx.Node, value: Any) -> Any:
    """A node, or its items if it gives several values."""
    if isinstance(value, dict):
        return {key: _items(graph, _item(graph, node, key), part) for key, part in value.items()}
    if isinstance(value, (tuple, list)):
        parts = [_items(graph, _item(graph, node, place), part) for place, part in enumerate(value)]
        return parts if isinstance(value, list) else tuple(parts)
    return node


def _item(graph: fx.Graph, node: fx.Node, key: Any) -> fx.Node:
    return graph.call_function(operator.getitem, (node, key))
