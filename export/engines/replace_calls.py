"""Lower a QUANTIZED graph to an engine: every integer operation becomes one kernel on integer tensors.

Other float nodes are not changed; ``quantize`` and ``dequantize`` remain only between integers and floats. The result
is an ordinary module: it computes no scales, does not depend on the batch size, and keeps nothing between calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, fx, nn

from fxpasses.graph.graph_module import RecordedModule
from fxpasses.graph.meta_keys import INT8_NAME, SHAPE
from fxpasses.graph.shapes import shape_of
from fxpasses.graph.stages import Stage, check_stage
from fxpasses.quantization.int8.int8_calls import FloatResult, Int8Call, find_float_results, find_int8_calls
from fxpasses.quantization.numbers import ops
from fxpasses.signature.outputs import is_record

from .kernel import Kernel
from .reference import ReferenceResult

KernelFor = Callable[[Int8Call], Kernel | None]
"""Function that gives an engine's kernel for one integer operation; None to call the operator itself on integers."""

ResultFor = Callable[[FloatResult], Kernel]
"""Function that gives the kernel of a layer with integer input and float output."""

BorderFor = Callable[[fx.Node], Kernel | None]
"""Function that gives the kernel for ``quantize`` with float input, or for ``dequantize``; None for the operator."""


def _the_operator(node: fx.Node) -> None:
    return None


def lower(
    gm: fx.GraphModule,
    kernel_for: KernelFor,
    entrance_for: BorderFor = _the_operator,
    exit_for: BorderFor = _the_operator,
    result_for: ResultFor = ReferenceResult,
) -> fx.GraphModule:
    """Build the lowered module; ``gm`` is not changed, and its float parameters are shared.

    Raises:
        GraphError: ``gm`` is not QUANTIZED.
    """
    check_stage(gm, Stage.QUANTIZED, "to_torch")
    lowering = _Lowering(gm, kernel_for, {ops.quantize: entrance_for, ops.dequantize: exit_for}, result_for)
    for node in gm.graph.nodes:
        lowering.take(node)
    return lowering.finish()


class _Lowering:
    def __init__(
        self, gm: fx.GraphModule, kernel_for: KernelFor, border_for: Mapping[Any, BorderFor], result_for: ResultFor
    ) -> None:
        self.gm, self.kernel_for, self.border_for, self.result_for = gm, kernel_for, border_for, result_for
        self.calls, self.results = find_int8_calls(gm), find_float_results(gm)
        self.graph = fx.Graph()
        self.env: dict[fx.Node, fx.Node] = {}
        self.kernels: dict[str, Kernel] = {}

    def take(self, node: fx.Node) -> None:
        """Add one node; float nodes that are no longer needed are removed at the end as dead code."""
        call = self.calls.get(node)
        if call is not None:
            new = self._integer_call(call)
        elif (result := self.results.get(node)) is not None:
            new = self._call_kernel(result.name, self.result_for(result), self.env[result.input])
        elif node.target in self.border_for and (border := self.border_for[node.target](node)) is not None:
            new = self._call_kernel(node.name, border, self.env[border.source(node)])
        elif _only_reads_shapes(node):
            new = self.graph.node_copy(node, lambda n: self.env[_integers_behind(n)])
        else:
            new = self.graph.node_copy(node, lambda n: self.env[n])
        if node.target is ops.quantize:
            new.meta[INT8_NAME] = node.name
        self.env[node] = new

    def _integer_call(self, call: Int8Call) -> fx.Node:
        kernel = self.kernel_for(call)
        if kernel is not None:
            read = call.inputs[: kernel.reads]
            return self._call_kernel(call.name, kernel, *(self.env[n] for n in read))
        return self.graph.node_copy(call.node, lambda n: self.env[_integers_behind(n)])

    def _call_kernel(self, name: str, kernel: Kernel, *inputs: fx.Node) -> fx.Node:
        self.kernels[target := f"int8_{name}"] = kernel
        return self.graph.call_module(target, inputs)

    def finish(self) -> fx.GraphModule:
        # dead nodes are pure: canonical graphs hold no in-place operators
        self.graph.eliminate_dead_code(is_impure_node=lambda n: n.op in ("placeholder", "output"))
        return assembled(self.graph, self.gm, self.kernels)


def assembled(graph: fx.Graph, source: nn.Module, kernels: Mapping[str, Kernel]) -> fx.GraphModule:
    """The module of a lowered graph: kernels by the name of their target, all other modules from ``source``."""
    parts: dict[str, Any] = {}
    for node in graph.nodes:
        if node.op == "call_module":
            parts[node.target] = kernels.get(node.target) or source.get_submodule(node.target)
        elif node.op == "get_attr":
            parts[node.target] = _attribute(source, node.target)
    return RecordedModule(parts, graph, "Int8Module").eval()


def _integers_behind(node: fx.Node) -> fx.Node:
    return node.all_input_nodes[0] if node.target is ops.dequantize else node


def _only_reads_shapes(node: fx.Node) -> bool:
    """Whether a node reads only shapes, such as ``x.size(0)``, and so can read the integers instead of the floats."""
    if (node.target is getattr and node.args[1] == "dtype") or is_record(node.target):
        return False
    return node.op in ("call_method", "call_function") and shape_of(node) is None and SHAPE not in node.meta


def _attribute(source: nn.Module, target: str) -> Tensor:
    path, _, name = target.rpartition(".")
    value: Tensor = getattr(source.get_submodule(path), name)
    return value
