"""Chains of kernels that are one operator each, called as one.

Python takes 3 to 5 us to call an operator with packed weights, some of MobileNetV2's layers 10 us to compute.
TorchScript's interpreter calls the same operators in less than one, and lets other threads run Python meanwhile. It is
deprecated, but torch names neither a date nor an interpreter in its place; where it is gone, kernels are called one by
one. Only its functions are used, not its modules: those share types, and with them code, for good.
"""

from __future__ import annotations

import itertools
import operator
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from . import quint8
from .kernel import Kernel, OneCall
from .lowering import assembled

_COMPILING = threading.Lock()


def is_available() -> bool:
    """Whether this torch still has TorchScript."""
    return hasattr(torch.jit, "CompilationUnit")


def chained(net: fx.GraphModule) -> fx.GraphModule:
    """A lowered graph, as it is called: nodes that follow each other and are one operator each become one.

    ``net`` is not changed, and its kernels are shared.
    """
    kernels = {name: child for name, child in net.named_children() if isinstance(child, Kernel)}
    graph = fx.Graph()
    env: dict[fx.Node, fx.Node] = {}
    for nodes, calls in _runs(net.graph, kernels):
        if len(calls) < 2:
            for node in nodes:
                env[node] = graph.node_copy(node, lambda n: env[n])
            continue
        chain = Chain(nodes, calls)
        kernels[name := f"from_{nodes[0].name}_to_{nodes[-1].name}"] = chain
        result = graph.call_module(name, tuple(env[n] for n in chain.inputs))
        for i, node in enumerate(chain.outputs):
            env[node] = result if len(chain.outputs) == 1 else graph.call_function(operator.getitem, (result, i))
    return assembled(graph, net, kernels)


def _runs(graph: fx.Graph, kernels: Mapping[str, Kernel]) -> Iterator[tuple[list[fx.Node], list[OneCall]]]:
    """All nodes in their order, in runs of those that are one call and those that are not, and their calls."""
    calls = {n: kernels[n.target].one_call for n in graph.nodes if n.op == "call_module" and n.target in kernels}
    # a list: past its end, the iterator of a graph begins anew (torch 2.15), which is how groupby finds the end
    for _, run in itertools.groupby(list(graph.nodes), key=lambda n: calls.get(n) is not None):
        nodes = list(run)
        yield nodes, [call for n in nodes if (call := calls.get(n)) is not None]


class Chain(Kernel):
    """Integer tensors -> the integer tensors that others read of those computed on the way; a tuple, unless it is one.

    Args:
        nodes: of a lowered graph, in their order.
        calls: what each of them calls.

    Attributes:
        inputs, outputs: nodes whose values it takes and gives.
    """

    def __init__(self, nodes: Sequence[fx.Node], calls: Sequence[OneCall]) -> None:
        super().__init__()
        inside = set(nodes)
        grids = {
            n: x for node, call in zip(nodes, calls, strict=True) for n, x in zip(_read(node), call.x, strict=True)
        }
        self.inputs = [n for n in grids if n not in inside]
        self.outputs = [n for n in nodes if not inside.issuperset(n.users)]
        self._x = [grids[n] for n in self.inputs]
        self.source_text, self._packed = _script(nodes, calls, self.inputs, self.outputs)
        with _COMPILING:
            self._compiled = torch.jit.CompilationUnit(self.source_text).chain

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(*inputs)

    @property
    def function(self) -> Callable[..., Any]:
        compiled, packed, grids = self._compiled, self._packed, self._x

        def call_all(*inputs: Tensor) -> Any:
            return compiled(*[quint8.as_quint8(q, x) for q, x in zip(inputs, grids, strict=True)], *packed)

        return call_all


def _read(node: fx.Node) -> list[fx.Node]:
    """What a kernel is called with; a tensor may come twice."""
    return [n for n in node.args if isinstance(n, fx.Node)]


def _script(
    nodes: Sequence[fx.Node], calls: Sequence[OneCall], inputs: Sequence[fx.Node], outputs: Sequence[fx.Node]
) -> tuple[str, list[Any]]:
    """A function ``chain`` in TorchScript, and the packed weights it takes behind its tensors."""
    names = {n: f"q{i}" for i, n in enumerate((*inputs, *nodes))}
    parameters = {names[n]: "Tensor" for n in inputs}
    packed, lines = [], []
    for node, call in zip(nodes, calls, strict=True):
        tensors = ", ".join(names[n] for n in _read(node))
        arguments = [f"[{tensors}]" if call.as_list else tensors]
        for constant in call.constants:
            if isinstance(constant, torch.ScriptObject):
                packed.append(constant)
                arguments.append(name := f"packed{len(packed)}")
                parameters[name] = constant._type().qualified_name()
            else:
                arguments.append(repr(constant))
        lines.append(f"{names[node]} = torch.ops.{call.operator}({', '.join(arguments)})")
    signature = ", ".join(f"{name}: {kind}" for name, kind in parameters.items())
    returned = ", ".join(names[n] for n in outputs)
    kind = "Tensor" if len(outputs) == 1 else f"Tuple[{', '.join(['Tensor'] * len(outputs))}]"
    body = "\n    ".join([*lines, f"return {returned}"])
    return f"def chain({signature}) -> {kind}:\n    {body}\n", packed
