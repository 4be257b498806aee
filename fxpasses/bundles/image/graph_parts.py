"""Nodes and constants for the front of an ONNX graph, under names that the graph does not use yet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx


class GraphParts:
    """Collects nodes and constants to put in front of a graph."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._taken = {name for node in graph.node for name in (*node.input, *node.output)}
        self._taken |= {value.name for value in (*graph.input, *graph.output, *graph.initializer)}

    def fresh(self, name: str) -> str:
        """An unused name: the given name, or the name with a number if it is taken."""
        number, found = 1, name
        while found in self._taken:
            number, found = number + 1, f"{name}_{number}"
        self._taken.add(found)
        return found

    def constant(self, name: str, value: Any, dtype: Any) -> str:
        """Add a constant and return its name."""
        from onnx import numpy_helper

        found = self.fresh(name)
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), found))
        return found

    def node(self, operator: str, inputs: Iterable[str], name: str, **settings: Any) -> str:
        """Add a node with one output and return the output's name."""
        from onnx import helper

        found = self.fresh(name)
        self.nodes.append(helper.make_node(operator, list(inputs), [found], name=f"node_{found}", **settings))
        return found
