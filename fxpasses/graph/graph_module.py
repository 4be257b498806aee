"""Graphs that can be pickled: node by node, together with the facts recorded about them.

``torch.fx`` pickles the source of a graph and traces it again. That loses the shapes and names that later steps read,
and fails if the tracer has settings. Here the nodes themselves are pickled: functions by their names, parameters and
modules as usual. Reading any pickle may run code; :func:`fxpasses.export.save` writes files that are safe to open even
if they come from strangers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from ..errors import InputError

AGAIN = "again"
"""Key in ``GraphModule.meta`` of a function that creates the module again if it cannot be pickled."""

_PLAIN = (str, int, float, bool, type(None), torch.dtype)
_STATE = ("training", "meta", "_parameters", "_buffers", "_modules", "_non_persistent_buffers_set")


class RecordedModule(fx.GraphModule):
    """A ``GraphModule`` whose copies and pickles keep all nodes, names and facts."""

    def __reduce__(self) -> tuple[Any, ...]:
        again: Callable[[], nn.Module] | None = self.meta.get(AGAIN)
        if again is not None:
            return again, ()
        for name, module in self.named_modules():
            if not (isinstance(module, fx.GraphModule) or _is_reachable(type(module))):
                raise _not_picklable(f"the module {name!r} of this graph", type(module))
        attributes = {k: v for k, v in self.__dict__.items() if isinstance(v, Tensor)}
        state = {name: self.__dict__[name] for name in _STATE} | attributes
        return _rebuilt, (type(self).__name__, _records_of(self.graph), state)

    def __copy__(self) -> RecordedModule:
        twin = RecordedModule(self, self.graph, type(self).__name__)
        twin.meta = self.meta
        return twin


@dataclass(frozen=True)
class _Earlier:
    """Placeholder for a node in a pickle: its position in the graph."""

    index: int


@dataclass(frozen=True)
class _Overload:
    """Placeholder for an operator overload such as ``torch.ops.aten.add.Tensor``, which cannot be pickled."""

    namespace: str
    name: str
    overload: str


@dataclass(frozen=True)
class _Functional:
    """Placeholder for a function of ``torch.nn.functional`` that is defined inside another function."""

    name: str


_Record = tuple[str, Any, Any, Any, str, type | str | None, dict[str, Any]]


def _records_of(graph: fx.Graph) -> list[_Record]:
    places = {node: _Earlier(index) for index, node in enumerate(graph.nodes)}

    def place_of(value: Any) -> Any:
        return places[value] if isinstance(value, fx.Node) else value

    return [
        (
            node.op,
            _recorded_target(node),
            fx.node.map_aggregate(node.args, place_of),
            fx.node.map_aggregate(node.kwargs, place_of),
            node.name,
            node.type if isinstance(node.type, (str, type)) and _is_reachable(node.type) else None,
            _plain_meta(node),
        )
        for node in graph.nodes
    ]


def _rebuilt(class_name: str, records: list[_Record], state: dict[str, Any]) -> RecordedModule:
    """Create the module that :meth:`RecordedModule.__reduce__` has recorded."""
    graph, made = fx.Graph(), list[fx.Node]()

    def node_of(value: Any) -> Any:
        return made[value.index] if isinstance(value, _Earlier) else value

    for op, target, args, kwargs, name, annotation, meta in records:
        args, kwargs = (fx.node.map_aggregate(each, node_of) for each in (args, kwargs))
        node = graph.create_node(op, _target_of(target), args, kwargs, name, annotation)
        node.meta.update(meta)
        made.append(node)
    gm = RecordedModule({}, fx.Graph(), class_name)
    gm.__dict__.update(state)
    gm.graph = graph
    return gm


def _recorded_target(node: fx.Node) -> Any:
    target = node.target
    if isinstance(target, str):
        return target
    if isinstance(target, torch._ops.OpOverload):
        namespace, _, name = target._schema.name.partition("::")
        return _Overload(namespace, name, target._overloadname)
    name = getattr(target, "__name__", "")
    if getattr(F, name, None) is target:
        return _Functional(name)
    if not _is_reachable(target):
        raise _not_picklable(f"node {node.name!r} of this graph", target)
    return target


def _target_of(target: Any) -> Any:
    if isinstance(target, _Overload):
        return getattr(getattr(getattr(torch.ops, target.namespace), target.name), target.overload)
    return getattr(F, target.name) if isinstance(target, _Functional) else target


def _is_reachable(thing: Any) -> bool:
    """Whether pickle can find a class or function by its name; objects made in C++ are always accepted."""
    if not isinstance(thing, type) and not hasattr(thing, "__code__"):
        return True
    found: Any = sys.modules.get(thing.__module__)
    for part in thing.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is thing


def _not_picklable(what: str, thing: Any) -> InputError:
    return InputError(
        f"{what} cannot be pickled",
        why=f"{thing.__qualname__} is not found by its name in {thing.__module__}, as pickle needs it",
        fix="define it at the top of its file, or write fxpasses.export.save(graph, 'model.pt2'), which needs no names",
    )


def _plain_meta(node: fx.Node) -> dict[str, Any]:
    """Metadata of a node as plain values; graphs and fake tensors that torch stores there are left out."""
    kept = {key: _plain(value) for key, value in node.meta.items() if key != "nn_module_stack"}
    stack = node.meta.get("nn_module_stack")
    if isinstance(stack, dict):
        named = {k: (path, kind if isinstance(kind, str) else kind.__qualname__) for k, (path, kind) in stack.items()}
        kept["nn_module_stack"] = named
    return {key: value for key, value in kept.items() if value is not None}


def _plain(value: Any) -> Any:
    """The value if it consists only of numbers, text and dtypes; else None."""
    if type(value) in (tuple, list):
        parts = [_plain(part) for part in value]
        is_lost = any(p is None and v is not None for p, v in zip(parts, value, strict=True))
        return None if is_lost else type(value)(parts)
    return value if isinstance(value, _PLAIN) else None
