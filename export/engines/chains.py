"""Chains of kernels that are operators and nothing else, called as one.

Python takes 3 to 5 us to call an operator with packed weights, some of MobileNetV2's layers 10 us to compute.
TorchScript's interpreter calls the same operators in less than one, and lets other threads run Python meanwhile. It is
deprecated, but torch names neither a date nor an interpreter in its place; where it is gone, kernels are called one by
one. Only its functions are used, not its modules: those share types, and with them code, for good.
"""

from __future__ import annotations

import inspect
import itertools
import operator
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from . import quint8
from .kernel import Call, Kernel, Script
from .replace_calls import assembled

SHORTEST = 4
"""Kernels. A call of TorchScript's takes as long as two or three from Python."""

_COMPILING = threading.Lock()
"""Shapes that keep coming are compiled by whichever thread calls; torch does not say that several may at once."""


def is_available() -> bool:
    """Whether this torch still has quint8 and TorchScript, and this package its sources (frozen it has not)."""
    has_torchscript = hasattr(torch.jit, "CompilationUnit")
    return quint8.is_available() and has_torchscript and inspect.getsourcefile(is_available) is not None


def chained(net: fx.GraphModule) -> fx.GraphModule:
    """A lowered graph, as it is called: kernels that follow each other and have a script become one.

    ``net`` is not changed, and its kernels are shared. Where there are no chains, it is a copy.
    """
    shortest = SHORTEST if is_available() else sys.maxsize
    kernels = {name: child for name, child in net.named_children() if isinstance(child, Kernel)}
    graph = fx.Graph()
    env: dict[fx.Node, fx.Node] = {}
    for nodes, scripts in _runs(net.graph, kernels):
        if len(scripts) < shortest:
            for node in nodes:
                env[node] = graph.node_copy(node, lambda n: env[n])
            continue
        chain = Chain(nodes, scripts)
        kernels[name := f"from_{nodes[0].name}_to_{nodes[-1].name}"] = chain
        result = graph.call_module(name, tuple(env[n] for n in chain.inputs))
        for i, node in enumerate(chain.outputs):
            env[node] = result if len(chain.outputs) == 1 else graph.call_function(operator.getitem, (result, i))
    return assembled(graph, net, kernels)


def _runs(graph: fx.Graph, kernels: Mapping[str, Kernel]) -> Iterator[tuple[list[fx.Node], list[Script]]]:
    """All nodes in their order, in runs of those that can be in a chain and those that cannot, and their scripts."""
    scripts: dict[fx.Node, Script] = {}
    behind_one = False
    for node in graph.nodes:
        script = kernels[node.target].script if node.op == "call_module" and node.target in kernels else None
        behind_one = script is not None and (behind_one or script.begins)
        if script is not None and behind_one:
            scripts[node] = script
    # a list: past its end, the iterator of a graph begins anew (torch 2.15), which is how groupby finds the end
    for in_chain, run in itertools.groupby(list(graph.nodes), key=scripts.__contains__):
        nodes = list(run)
        yield nodes, [scripts[n] for n in nodes] if in_chain else []


class Chain(Kernel):
    """Integer tensors -> the integer tensors that others read of those computed on the way; a tuple, unless it is one.

    Args:
        nodes: of a lowered graph, in their order.
        scripts: what each of them calls.

    Attributes:
        inputs, outputs: nodes whose values it takes and gives.
        source_text: the function it calls, in TorchScript.
    """

    def __init__(self, nodes: Sequence[fx.Node], scripts: Sequence[Script]) -> None:
        super().__init__()
        inside = set(nodes)
        pairs = zip(nodes, scripts, strict=True)
        grids = {n: x for node, script in pairs for n, x in zip(_read(node), script.x, strict=True)}
        self.inputs = [n for n in grids if n not in inside]
        self.outputs = [n for n in nodes if not inside.issuperset(n.users)]
        self._x = [grids[n] for n in self.inputs]
        written = _Writer(self.inputs)
        for node, script in zip(nodes, scripts, strict=True):
            written.add(node, script)
        self.source_text, self._constants = written.function(self.outputs), written.constants
        with _COMPILING:
            self._compiled = torch.jit.CompilationUnit(self.source_text).chain

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(*inputs)

    @property
    def function(self) -> Callable[..., Any]:
        compiled, constants, grids = self._compiled, self._constants, self._x

        def call_all(*inputs: Tensor) -> Any:
            return compiled(*[quint8.as_quint8(q, x) for q, x in zip(inputs, grids, strict=True)], *constants)

        return call_all


def _read(node: fx.Node) -> list[fx.Node]:
    """What a kernel is called with; a tensor may come twice."""
    return [n for n in node.args if isinstance(n, fx.Node)]


class _Writer:
    """Writes the function ``chain``.

    Attributes:
        constants: what it takes behind its tensors.
    """

    def __init__(self, inputs: Sequence[fx.Node]) -> None:
        self.constants: list[Any] = []
        self._names = {n: f"q{i}" for i, n in enumerate(inputs)}
        self._parameters = dict.fromkeys(self._names.values(), "Tensor")
        self._lines: list[str] = []
        self._functions: dict[str, str] = {}

    def add(self, node: fx.Node, script: Script) -> None:
        """One kernel; each of its operators but the first takes what the one before it gave."""
        self._names[node] = name = f"q{len(self._names)}"
        tensors = ", ".join(self._names[n] for n in _read(node))
        tensors = f"[{tensors}]" if script.as_list else tensors
        for call in script.calls:
            arguments = ", ".join([tensors, *(self._written(constant) for constant in call.constants)])
            self._lines.append(f"{name} = {self._callee(call)}({arguments})")
            tensors = name

    def function(self, outputs: Sequence[fx.Node]) -> str:
        """Its text, which gives the values of ``outputs``: a tuple, unless it is one."""
        signature = ", ".join(f"{name}: {kind}" for name, kind in self._parameters.items())
        kind = "Tensor" if len(outputs) == 1 else f"Tuple[{', '.join(['Tensor'] * len(outputs))}]"
        body = "\n    ".join([*self._lines, f"return {', '.join(self._names[n] for n in outputs)}"])
        return "\n".join([*self._functions.values(), f"def chain({signature}) -> {kind}:\n    {body}\n"])

    def _callee(self, call: Call) -> str:
        if isinstance(call.operator, str):
            return f"torch.ops.{call.operator}"
        name = call.operator.__name__
        self._functions.setdefault(name, inspect.getsource(call.operator))
        return name

    def _written(self, constant: object) -> str:
        """A number as it is; what has no text as a parameter of its own."""
        if isinstance(constant, torch.ScriptObject):
            kind = constant._type().qualified_name()
        elif isinstance(constant, Tensor):
            kind = "Tensor"
        else:
            return repr(constant)
        self.constants.append(constant)
        self._parameters[name := f"constant{len(self.constants)}"] = kind
        return name
