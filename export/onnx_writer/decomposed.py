"""Programs that the ONNX exporter need not trace again.

Before it translates a program, ``torch.onnx.export`` decomposes it, which means to trace it a second time. A QUANTIZED
graph contains almost nothing to decompose. :func:`as_decomposed` gives the exporter a program that answers
``run_decompositions`` with a copy of itself if tracing would change nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import fx
from torch._C import DispatchKey
from torch._ops import OpOverload
from torch.export import ExportedProgram

_ATEN = torch.ops.aten
_TRANSLATED = frozenset(
    [
        _ATEN.conv1d.default,
        _ATEN.conv2d.default,
        _ATEN.conv3d.default,
        _ATEN.flatten.using_ints,
        _ATEN.layer_norm.default,
        _ATEN.linear.default,
        _ATEN.matmul.default,
        _ATEN.max_pool2d.default,
        _ATEN.softmax.int,
    ]
)
"""Composite operators for which the exporter has a translation."""


def as_decomposed(program: ExportedProgram) -> ExportedProgram:
    """The same program, which decomposes itself without a trace if nothing is left to decompose.

    It shares graph and tensors with ``program``; the result of ``run_decompositions`` has its own graph.
    """
    made = copy.copy(program)
    made.__class__ = _Decomposed
    return made


class _Decomposed(ExportedProgram):
    def run_decompositions(
        self, decomp_table: dict[Any, Callable[..., Any]] | None = None, *args: Any, **kwargs: Any
    ) -> ExportedProgram:
        if decomp_table is None or not all(
            _stays(node, decomp_table) or _is_global_pool(node) for node in self.graph.nodes
        ):
            traced: ExportedProgram = super().run_decompositions(decomp_table, *args, **kwargs)
            return traced
        graph = copy.deepcopy(self.graph)  # the exporter edits what it is given
        for original, node in zip(self.graph.nodes, graph.nodes, strict=True):
            node.name = original.name  # a copy avoids Python's names, such as ``input``; the signature has them
            if _is_global_pool(node):  # as in the decomposition table
                node.target, node.args = _ATEN.mean.dim, (node.args[0], [-1, -2], True)
        return ExportedProgram(
            root=self.graph_module,
            graph=graph,
            graph_signature=self.graph_signature,
            state_dict=self.state_dict,
            range_constraints=self.range_constraints,
            module_call_graph=self.module_call_graph,
            example_inputs=self.example_inputs,
            constants=self.constants,
        )


def _stays(node: fx.Node, table: Mapping[Any, object]) -> bool:
    """Whether a decomposition does not change a node; False in doubt, for subgraphs and in-place operators."""
    if node.op != "call_function":
        return node.op in ("placeholder", "output")
    if not isinstance(node.target, OpOverload):
        return getattr(node.target, "__module__", None) == "_operator"  # arithmetic of sizes, items of tuples
    composite = node.target.has_kernel_for_dispatch_key(DispatchKey.CompositeImplicitAutograd)
    known = node.target in _TRANSLATED or not composite  # tracing opens composite operators, in the table or not
    return known and node.target not in table and not node.target._schema.is_mutable


def _is_global_pool(node: fx.Node) -> bool:
    """Whether a node is a global pool, the only operator of most convolutional nets that tracing would change."""
    return node.target is _ATEN.adaptive_avg_pool2d.default and list(node.args[1:]) == [[1, 1]]
