"""Structure of a program's inputs and outputs: only tuples, lists and dicts, no types that torch would import."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..pt2_records import records
from ..pt2_records.names import key
from ..pt2_records.records import RefusedError, shown

LEAF = object()
"""Stands for one tensor or number in a structure."""

_SEQUENCES: dict[str, type[tuple[Any, ...]] | type[list[Any]]] = {
    "builtins.tuple": tuple,
    "builtins.list": list,
    "torch.fx.immutable_collections.immutable_list": list,
}
_DICTS = ("builtins.dict", "collections.OrderedDict", "torch.fx.immutable_collections.immutable_dict")
_DEEPEST = 32


def read_structure(spec: object, where: str) -> Any:
    """Read a structure in torch's format as tuples, lists and dicts of :data:`LEAF`."""
    outer = records.items(records.parsed(where, records.text(spec, where).encode()), where)
    if len(outer) != 2 or outer[0] != 1:
        raise RefusedError(f"it is damaged: {where} is of an unknown version")
    return _structure(outer[1], where, 0)


def _structure(spec: Any, where: str, depth: int) -> Any:
    if depth > _DEEPEST:
        raise RefusedError(f"it is damaged: {where} is nested too deeply")
    kind = records.field(spec, "type", where)
    children = records.items(records.field(spec, "children_spec", where), where)
    if kind is None:
        if children:
            raise RefusedError(f"it is damaged: {where} has a tensor that holds others")
        return LEAF
    inner = [_structure(child, where, depth + 1) for child in children]
    if kind in _SEQUENCES:
        return _SEQUENCES[kind](inner)
    if kind not in _DICTS:
        raise RefusedError(
            f"models/model.json, with inputs or outputs in {shown(str(kind))}, is no graph of tensors; "
            "reading it may run code",
            records.TRUST,
        )
    context = records.text(records.field(spec, "context", where), where)
    keys = [key(k, f"a key of {where}") for k in records.items(records.parsed(where, context.encode()), where)]
    if len(keys) != len(inner) or len(set(keys)) != len(keys):
        raise RefusedError(f"it is damaged: {where} has {len(keys)} keys for {len(inner)} values")
    return dict(zip(keys, inner, strict=True))


def leaves_of(structure: Any) -> Iterator[tuple[int | str, ...]]:
    """The path of each leaf: its indices, from the outside in."""
    if structure is LEAF:
        yield ()
    else:
        pairs = structure.items() if isinstance(structure, dict) else enumerate(structure)
        for step, inner in pairs:
            for path in leaves_of(inner):
                yield step, *path


def filled(structure: Any, leaves: Iterator[Any]) -> Any:
    """A structure with the given leaves in order."""
    if structure is LEAF:
        return next(leaves)
    if isinstance(structure, dict):
        return {name: filled(inner, leaves) for name, inner in structure.items()}
    return type(structure)([filled(inner, leaves) for inner in structure])
