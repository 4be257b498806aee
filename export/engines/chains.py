"""Chains of kernels that only call operators, called as one function.

A call of an operator with packed weights from Python takes a good part of the time that a small layer computes. The
interpreter of TorchScript calls the same operators several times as fast (docs/lab_notes.md), and lets other threads
run Python meanwhile. It is deprecated, but torch names neither a date nor a replacement; without it, kernels are called
one by one. Only its functions are used, not its modules: modules share types, and with them code, permanently.
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
"""Fewest kernels in a chain; a call of TorchScript takes as long as two or three calls from Python."""

_COMPILING = threading.Lock()
"""Lock for compilation: any calling thread may compile for a new shape, and torch does not promise thread safety."""


def is_available() -> bool:
    """Whether this torch still has quint8 and TorchScript, and the sources of this package can be read."""
    has_torchscript = hasattr(torch.jit, "CompilationUnit")
    return quint8.is_available() and has_torchscript and inspect.getsourcefile(is_available) is not None


def chained(net: fx.GraphModule) -> fx.GraphModule:
    """A lowered graph in which consecutive kernels with a script are replaced by one chain.

    ``net`` is not changed; its kernels are shared. Without chains the result is a copy.
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
    """All nodes in order, in runs that can be chained and runs that cannot, with their scripts."""
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
    """Kernel that runs several kernels; it gives the integer tensors that others read: a tuple, or a single one.

    Args:
        nodes: nodes of a lowered graph, in order.
        scripts: the operators that each node calls.

    Attributes:
        inputs, outputs: nodes whose values it takes and gives.
        source_text: its function, in TorchScript.
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
    """The tensors that a kernel reads; a tensor may occur twice."""
    return [n for n in node.args if isinstance(n, fx.Node)]


class _Writer:
    """Builds the source text of the function ``chain``.

    Attributes:
        constants: arguments of the function after its tensors.
    """

    def __init__(self, inputs: Sequence[fx.Node]) -> None:
        self.constants: list[Any] = []
        self._names = {n: f"q{i}" for i, n in enumerate(inputs)}
        self._parameters = dict.fromkeys(self._names.values(), "Tensor")
        self._lines: list[str] = []
        self._functions: dict[str, str] = {}

    def add(self, node: fx.Node, script: Script) -> None:
        """Add one kernel; each of its operators except the first takes the result of the one before."""
        self._names[node] = name = f"q{len(self._names)}"
        tensors = ", ".join(self._names[n] for n in _read(node))
        tensors = f"[{tensors}]" if script.as_list else tensors
        for call in script.calls:
            arguments = ", ".join([tensors, *(self._written(constant) for constant in call.constants)])
            self._lines.append(f"{name} = {self._callee(call)}({arguments})")
            tensors = name

    def function(self, outputs: Sequence[fx.Node]) -> str:
        """The source text; the function returns the values of ``outputs``: a tuple, or a single one."""
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
        """A number as text; other constants become parameters."""
        if isinstance(constant, torch.ScriptObject):
            kind = constant._type().qualified_name()
        elif isinstance(constant, Tensor):
            kind = "Tensor"
        else:
            return repr(constant)
        self.constants.append(constant)
        self._parameters[name := f"constant{len(self.constants)}"] = kind
        return name
