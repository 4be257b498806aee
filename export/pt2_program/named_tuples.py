"""Named tuples among the outputs of a saved graph.

A ``.pt2`` file contains plain tuples, and beside them the names of fields and of their class. ``load`` imports nothing:
it uses the class if the process has already loaded it and it is a named tuple with these fields; otherwise it makes
one.
"""

from __future__ import annotations

import sys
from collections import namedtuple
from collections.abc import Iterator
from typing import Any

from torch import fx

from fxpasses.signature.outputs import is_record, record_parts, returned

from ..pt2_records import records
from ..pt2_records.archive import FACTS
from ..pt2_records.names import identifier
from ..pt2_records.records import RefusedError, shown

_FACT = "named_tuples"
_MOST = 4096
Path = tuple[int | str, ...]


def tuples_json(gm: fx.GraphModule) -> dict[str, Any]:
    """Positions and classes of the named tuples that a graph returns, for JSON."""
    found = [
        {"path": list(path), "name": kind.__name__, "module": kind.__module__, "fields": list(kind._fields)}
        for path, kind in _named_tuples(returned(gm), ())
    ]
    return {_FACT: found} if found else {}


def _named_tuples(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, fx.Node):
        if not is_record(value.target):
            return
        kind: Any = value.target
        is_tuple = issubclass(kind, tuple)
        if is_tuple:
            yield path, kind
        parts = enumerate(record_parts(value).values()) if is_tuple else record_parts(value).items()
    elif isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, (tuple, list)):
        parts = enumerate(value)
    else:
        return
    for step, part in parts:
        yield from _named_tuples(part, (*path, step))


def restore_named_tuples(gm: fx.GraphModule, facts: dict[str, Any]) -> None:
    """Turn tuples that a loaded graph returns into named ones, as the file specifies."""
    where = f"{FACTS}: {_FACT}"
    kinds = {_path(entry, where): _class_of(entry, where) for entry in records.items(facts.get(_FACT, []), where)}
    if not kinds:
        return
    output = next(n for n in gm.graph.nodes if n.op == "output")
    with gm.graph.inserting_before(output):
        made = _with_names(gm.graph, output.args[0], (), kinds)
    if kinds:
        raise RefusedError(f"it is damaged: {where} names outputs that it has not")
    output.args = (made,)
    gm.recompile()


def _with_names(graph: fx.Graph, value: Any, path: Path, kinds: dict[Path, Any]) -> Any:
    if isinstance(value, dict):
        return {step: _with_names(graph, part, (*path, step), kinds) for step, part in value.items()}
    if not isinstance(value, (tuple, list)):
        return value
    parts = [_with_names(graph, part, (*path, step), kinds) for step, part in enumerate(value)]
    kind = kinds.pop(path, None)
    if kind is None:
        return tuple(parts) if isinstance(value, tuple) else parts
    if len(parts) != len(kind._fields):
        raise RefusedError(f"it is damaged: a tuple of {len(parts)} values has {len(kind._fields)} names")
    return graph.call_function(kind, tuple(parts))


def _path(entry: Any, where: str) -> Path:
    steps = records.items(records.field(entry, "path", where), where)
    return tuple(records.integer(s, where, 0, _MOST) if type(s) is int else records.text(s, where, 256) for s in steps)


def _class_of(entry: Any, where: str) -> Any:
    name = identifier(records.field(entry, "name", where), where)
    fields = [identifier(f, where) for f in records.items(records.field(entry, "fields", where), where)]
    if len(set(fields)) != len(fields) or any(f.startswith("_") for f in (name, *fields)):
        raise RefusedError(f"it is damaged: {where} has fields {shown(str(fields))}")
    module = sys.modules.get(records.text(records.field(entry, "module", where), where, 1000))
    kind = vars(module).get(name) if module is not None else None
    if isinstance(kind, type) and kind.__bases__ == (tuple,) and getattr(kind, "_fields", None) == tuple(fields):
        return kind
    return namedtuple(name, fields, module=__name__)  # the fields are known when it is read
