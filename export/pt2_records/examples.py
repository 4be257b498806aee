"""Example inputs and free sizes of a graph in a ``.pt2`` file; each value is checked when read."""

from __future__ import annotations

import math
from typing import Any

from torch import fx

from fxpasses.errors import InputError
from fxpasses.signature.examples import examples_of, is_spec
from fxpasses.signature.free_sizes import Dims, FreeSizes, free_sizes

from . import records
from .archive import FACTS
from .names import identifier, key
from .records import RefusedError, shown
from .tensors import DTYPES

_DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in DTYPES.values()}
_LARGEST_INPUT = 2**31
"""Largest number of elements of an example input."""
_DEEPEST = 16
_MOST_DIMENSIONS = 8
_SIZES = "free_sizes"


def examples_json(gm: fx.GraphModule) -> list[dict[str, Any]]:
    """The example inputs of a graph, for JSON.

    Raises:
        InputError: one is an object that JSON cannot represent.
    """
    return [_json(example, f"input {number}") for number, example in enumerate(examples_of(gm))]


def _json(example: Any, where: str) -> dict[str, Any]:
    if is_spec(example):
        return {"shape": list(example[0]), "dtype": str(example[1]).removeprefix("torch.")}
    if isinstance(example, dict):
        return {"dict": [[name, _json(part, where)] for name, part in example.items()]}
    if isinstance(example, (list, tuple)):
        return {type(example).__name__: [_json(part, where) for part in example]}
    if example is not None and not isinstance(example, (bool, int, float, str)):
        raise InputError(
            f"{where} is a {type(example).__name__}",
            why="a .pt2 file holds tensors, numbers, words, and lists, tuples and dicts of them",
            fix="wrap the model in a module that has that value, and takes the rest",
        )
    return {"value": example}


def read_examples(facts: dict[str, Any]) -> tuple[Any, ...]:
    """Read the fact ``example_inputs``."""
    examples = records.items(records.field(facts, "example_inputs", FACTS), FACTS)
    return tuple(_example(e, f"{FACTS}: example input {i}", 0) for i, e in enumerate(examples))


def _example(example: Any, where: str, depth: int) -> Any:
    if depth > _DEEPEST:
        raise RefusedError(f"it is damaged: {where} is nested too deeply")
    kinds = records.table(example, where)
    if "shape" in kinds:
        return _spec(kinds, where)
    for name, kind in (("list", list), ("tuple", tuple)):
        if name in kinds:
            return kind(_example(part, where, depth + 1) for part in records.items(kinds[name], where))
    if "dict" in kinds:
        pairs = [records.items(pair, where) for pair in records.items(kinds["dict"], where)]
        if any(len(pair) != 2 for pair in pairs):
            raise RefusedError(f"it is damaged: {where} has a dict that is not made of pairs")
        return {key(name, where): _example(part, where, depth + 1) for name, part in pairs}
    return _constant(records.field(example, "value", where), where, 0)


def _spec(example: dict[str, Any], where: str) -> Any:
    sizes = records.items(example["shape"], where)
    shape = tuple(records.integer(size, where, 0, _LARGEST_INPUT) for size in sizes)
    name = records.text(records.field(example, "dtype", where), where)
    if name not in _DTYPES or math.prod(shape) > _LARGEST_INPUT or len(shape) > _MOST_DIMENSIONS:
        raise RefusedError(f"it is damaged: {where} has no usable shape or dtype: {list(shape)[:8]}, {shown(name)}")
    return shape, _DTYPES[name]


def _constant(value: Any, where: str, depth: int) -> Any:
    if isinstance(value, list) and depth < 4:
        return [_constant(v, where, depth + 1) for v in value]
    if isinstance(value, dict) and depth < 4:
        return {records.text(k, where): _constant(v, where, depth + 1) for k, v in value.items()}
    if value is None or isinstance(value, bool):
        return value
    return records.text(value, where) if isinstance(value, str) else _number(value, where)


def _number(value: Any, where: str) -> int | float:
    return records.integer(value, where) if type(value) is int else records.number(value, where)


def sizes_json(gm: fx.GraphModule, fixed: bool) -> dict[str, Any]:
    """The free sizes of a graph, for JSON; with ``fixed`` no size is free in the written program."""
    sizes = free_sizes(gm)
    tensors = {"inputs": sizes.inputs, "outputs": sizes.outputs}
    return {
        _SIZES: {name: [{} if fixed else {str(d): size for d, size in dims.items()} for dims in found]
                 for name, found in tensors.items()}
        | {"separate": sizes.separate, "tried": {} if fixed else sizes.tried}
    }  # fmt: skip


def read_sizes(facts: dict[str, Any], inputs: int) -> FreeSizes | None:
    """Read the free sizes; None for a file from before they existed.

    Args:
        inputs: number of tensors among the inputs.
    """
    if _SIZES not in facts:
        return None
    where = f"{FACTS}: {_SIZES}"
    found = records.table(facts[_SIZES], where)
    sides = [[_dims(dims, where) for dims in records.items(records.field(found, name, where), where)]
             for name in ("inputs", "outputs")]  # fmt: skip
    if len(sides[0]) != inputs:
        raise RefusedError(f"it is damaged: {where} tells of {len(sides[0])} inputs, and there are {inputs}")
    tried = records.table(records.field(found, "tried", where), where)
    return FreeSizes(
        tuple(sides[0]),
        tuple(sides[1]),
        records.truth(records.field(found, "separate", where), where),
        {identifier(name, where): records.integer(size, where, 1, _LARGEST_INPUT) for name, size in tried.items()},
    )


def _dims(dims: Any, where: str) -> Dims:
    made = Dims()
    for dim, name in records.table(dims, where).items():
        if dim not in map(str, range(_MOST_DIMENSIONS)):
            raise RefusedError(f"it is damaged: {where} has a dimension {shown(dim)}")
        made[int(dim)] = identifier(name, where)
    return made
