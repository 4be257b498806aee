"""The tensors that a model returns, in any structure, and the nodes of a graph that compute them.

Tuples, lists and dicts are part of a graph's output node. Named tuples, dataclasses and dicts that are dataclasses (as
outputs of Hugging Face's models) are calls of their class before it. In both forms tensors have the same order;
numbers, strings and None are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from torch import Tensor, fx

from ..graph.shapes import shape_of


@dataclass(frozen=True)
class OutputTensor:
    """A tensor that a graph returns.

    Attributes:
        keys: path to the tensor in the output: names and numbers; empty if the output is this tensor alone.
        node: the node that computes it.
    """

    keys: tuple[str | int, ...]
    node: fx.Node

    @property
    def is_named(self) -> bool:
        """Whether the path contains a name."""
        return any(isinstance(key, str) for key in self.keys)

    @property
    def name(self) -> str:
        """The path as text: ``logits``, ``features.0``."""
        return ".".join(map(str, self.keys))


def tensors_of(value: Any) -> list[Tensor]:
    """The tensors in a model's output, in order."""
    return [leaf for leaf in leaves_of(value) if isinstance(leaf, Tensor)]


def keyed_tensors(value: Any, keys: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Tensor]]:
    """The tensors in a model's output, in order, each with the path to it."""
    if isinstance(value, Tensor):
        yield keys, value
    for key, part in _parts(value) or ():
        yield from keyed_tensors(part, (*keys, key))


def leaves_of(value: Any) -> Iterator[Any]:
    """All values in a model's output that are no structures, in order."""
    parts = _parts(value)
    if parts is None:
        yield value
        return
    for _, part in parts:
        yield from leaves_of(part)


def _parts(value: Any) -> list[tuple[str | int, Any]] | None:
    """The parts of a structure by key; None for any other value."""
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return list(zip(value._fields, value, strict=True))
    if isinstance(value, (tuple, list)):
        return list(enumerate(value))
    if is_dataclass(value) and not isinstance(value, type):
        return [(f.name, getattr(value, f.name)) for f in fields(value)]
    return None


def is_record(kind: object) -> bool:
    """Whether a value is a class of named tuples or dataclasses."""
    return isinstance(kind, type) and (is_dataclass(kind) or (issubclass(kind, tuple) and hasattr(kind, "_fields")))


def hands_out(node: fx.Node) -> bool:
    """Whether a node only passes its inputs on to the caller, without computing."""
    return node.op == "output" or is_record(node.target)


def output_tensors(gm: fx.GraphModule) -> list[OutputTensor]:
    """The tensors that a graph returns, in order."""
    return list(_tensors(returned(gm), ()))


def returned(gm: fx.GraphModule) -> Any:
    """The value of a graph's output node."""
    return next(n for n in gm.graph.nodes if n.op == "output").args[0]


def _tensors(value: Any, keys: tuple[str | int, ...]) -> Iterator[OutputTensor]:
    if isinstance(value, fx.Node):
        if is_record(value.target):
            value = record_parts(value)
        elif shape_of(value) is not None:
            yield OutputTensor(keys, value)
            return
    for key, part in _parts(value) or ():
        yield from _tensors(part, (*keys, key))


def record_parts(node: fx.Node) -> dict[str, Any]:
    """The arguments in a call of a class of named tuples or dataclasses, by field, in the order of the fields."""
    kind: Any = node.target
    names = list(kind._fields) if hasattr(kind, "_fields") else [f.name for f in fields(kind)]
    given = dict(zip(names, node.args, strict=False)) | node.kwargs
    return {name: given[name] for name in names if name in given}


def with_plain_outputs(gm: fx.GraphModule) -> fx.GraphModule:
    """A graph that returns tuples for named tuples and dicts for dataclasses; ``gm`` itself if it returns neither.

    Parameters are shared. For a dataclass that is also a dict, fields with None are left out.
    """
    if not any(is_record(n.target) for n in gm.graph.nodes):
        return gm
    graph = fx.Graph()
    graph.output(graph.graph_copy(gm.graph, {}))
    made = fx.GraphModule(gm, graph, type(gm).__name__)
    made.meta = gm.meta
    output = next(n for n in made.graph.nodes if n.op == "output")
    output.args = (_plain(output.args[0]),)
    for node in reversed(list(made.graph.nodes)):
        if is_record(node.target) and not node.users:
            made.graph.erase_node(node)
    made.recompile()
    return made.train(gm.training)


def only_tensors(gm: fx.GraphModule) -> fx.GraphModule:
    """A graph that returns only the tensors of another graph's outputs, in order; parameters are shared."""
    graph, env = fx.Graph(), dict[fx.Node, fx.Node]()
    graph.graph_copy(gm.graph, env)
    graph.output(tuple(env[tensor.node] for tensor in output_tensors(gm)))
    graph.eliminate_dead_code(lambda n: n.op in ("placeholder", "output"))
    made = fx.GraphModule(gm, graph, type(gm).__name__)
    made.meta = gm.meta
    return made.train(gm.training)


def returns_only_tensors(gm: fx.GraphModule) -> bool:
    """Whether a graph returns only tensors and None."""
    found = sum(leaf is not None for leaf in leaves_of(returned(with_plain_outputs(gm))))
    return found == len(output_tensors(gm))


def _plain(value: Any) -> Any:
    if isinstance(value, fx.Node) and is_record(value.target):
        parts, kind = record_parts(value), value.target
        if isinstance(kind, type) and issubclass(kind, tuple):
            return tuple(_plain(part) for part in parts.values())
        leaves_out_none = isinstance(kind, type) and issubclass(kind, Mapping)
        return {k: _plain(v) for k, v in parts.items() if not (leaves_out_none and v is None)}
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return tuple(map(_plain, value)) if isinstance(value, tuple) else [_plain(v) for v in value]
    return value
