"""Arguments of the calls in a program: numbers, short words, and values of earlier nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import fx

from ..pt2_records import records
from ..pt2_records.names import words
from ..pt2_records.records import RefusedError, shown
from ..pt2_records.tensors import dtype_of, require_cpu
from .operators import is_symbolic

Values = Mapping[str, fx.Node]

_MEMORY_FORMATS = {
    1: torch.contiguous_format,
    2: torch.channels_last,
    3: torch.channels_last_3d,
    4: torch.preserve_format,
}
_STRIDED = 7
_POSITIONAL, _KEYWORD = 1, 2


def _value(name: object, values: Values, where: str) -> fx.Node:
    if not isinstance(name, str) or name not in values:
        raise RefusedError(f"it is damaged: {where} reads {shown(str(name))}, which nothing before it makes")
    return values[name]


def _tensor(argument: object, values: Values, where: str) -> fx.Node:
    return _value(records.field(argument, "name", where), values, where)


def _optional_tensor(argument: object, values: Values, where: str) -> fx.Node | None:
    kind, found = records.only(argument, where)
    if kind not in ("as_tensor", "as_none"):
        raise RefusedError(f"it is damaged: {where} is no tensor")
    return None if kind == "as_none" else _tensor(found, values, where)


def _symbol(argument: object, values: Values, where: str) -> Any:
    kind, found = records.only(argument, where)
    if kind == "as_name":
        return _value(found, values, where)
    if kind not in ("as_int", "as_float", "as_bool"):
        raise RefusedError(f"it is damaged: {where} is no number")
    return _ONE[kind](found, values, where)


def _layout(value: object, values: Values, where: str) -> torch.layout:
    if value != _STRIDED:
        raise RefusedError(f"it is damaged: {where} is no dense layout")
    return torch.strided


def _memory_format(value: object, values: Values, where: str) -> torch.memory_format:
    number = records.integer(value, where)
    if number not in _MEMORY_FORMATS:
        raise RefusedError(f"it is damaged: {where} is no memory format")
    return _MEMORY_FORMATS[number]


Read = Callable[[Any, Values, str], Any]

_ONE: dict[str, Read] = {
    "as_none": lambda value, values, where: None,
    "as_tensor": _tensor,
    "as_int": lambda value, values, where: records.integer(value, where),
    "as_float": lambda value, values, where: records.number(value, where),
    "as_bool": lambda value, values, where: records.truth(value, where),
    "as_string": lambda value, values, where: words(value, where),
    "as_scalar_type": lambda value, values, where: dtype_of(value, where),
    "as_memory_format": _memory_format,
    "as_layout": _layout,
    "as_device": lambda value, values, where: require_cpu(value, where),
    "as_sym_int": _symbol,
    "as_sym_float": _symbol,
    "as_sym_bool": _symbol,
    "as_optional_tensor": _optional_tensor,
}
_MANY: dict[str, Read] = {
    "as_tensors": _tensor,
    "as_ints": _ONE["as_int"],
    "as_floats": _ONE["as_float"],
    "as_bools": _ONE["as_bool"],
    "as_sym_ints": _symbol,
    "as_sym_floats": _symbol,
    "as_sym_bools": _symbol,
    "as_optional_tensors": _optional_tensor,
}


def read_argument(argument: object, values: Values, where: str) -> Any:
    """One argument: an earlier node, or a constant."""
    kind, found = records.only(argument, where)
    if kind in _ONE:
        return _ONE[kind](found, values, where)
    if kind not in _MANY:
        raise RefusedError(f"it is damaged: {where} is {shown(kind)}, which no saved graph has", records.TRUST)
    return [_MANY[kind](each, values, where) for each in records.items(found, where)]


def read_arguments(
    function: Callable[..., Any], inputs: object, values: Values, where: str
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call, by position and by keyword; every keyword must be one of the operator's parameters."""
    given = records.items(inputs, where)
    if is_symbolic(function):
        return tuple(read_argument(records.field(each, "arg", where), values, where) for each in given), {}
    assert isinstance(function, torch._ops.OpOverload)
    parameters = {p.name: p.kwarg_only for p in function._schema.arguments}
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for position, each in enumerate(given):
        name = records.field(each, "name", where)
        if not isinstance(name, str) or name not in parameters or name in kwargs:
            raise RefusedError(f"it is damaged: {where} has an argument {shown(str(name))}, which it does not take")
        value = read_argument(records.field(each, "arg", where), values, where)
        kind = each.get("kind")
        if kind == _POSITIONAL and not kwargs and list(parameters)[position] == name and not parameters[name]:
            args.append(value)
        elif kind == _KEYWORD:
            kwargs[name] = value
        else:
            raise RefusedError(f"it is damaged: {where} gives {name} neither by position nor by keyword")
    return tuple(args), kwargs
