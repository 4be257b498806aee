"""Nestings of inputs and outputs, read as data."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch.utils import _pytree as pytree

from fxpasses.export.pt2_program.structure import LEAF, filled, leaves_of, read_structure
from fxpasses.export.pt2_records.records import RefusedError

NESTED = {"a": [1, (2, {"b": 3})], "c": 4}


def _spec(value: Any) -> str:
    return pytree.treespec_dumps(pytree.tree_structure(value))


def test_a_nesting_comes_back() -> None:
    structure = read_structure(_spec(NESTED), "out_spec")
    assert structure == {"a": [LEAF, (LEAF, {"b": LEAF})], "c": LEAF}
    assert filled(structure, iter([1, 2, 3, 4])) == NESTED
    assert list(leaves_of(structure)) == [("a", 0), ("a", 1, 0), ("a", 1, 1, "b"), ("c",)]


def test_one_tensor() -> None:
    assert read_structure(_spec(torch.zeros(1)), "out_spec") is LEAF
    assert list(leaves_of(LEAF)) == [()]


def _node(kind: str | None, context: Any = "null", children: Any = ()) -> str:
    return json.dumps([1, {"type": kind, "context": context, "children_spec": list(children)}])


_ONE = {"type": None, "context": None, "children_spec": list[Any]()}


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("[2, {}]", "unknown version"),
        ("{}", "no list"),
        ("[1, {}]", "has no 'type'"),
        ("[1", "is no JSON"),
        (_node("collections.defaultdict"), "with inputs or outputs in collections.defaultdict"),
        (_node("os.path"), "with inputs or outputs in os.path"),
        (_node(None, None, [_ONE]), "a tensor that holds others"),
        (_node("builtins.dict", '["a", "b"]', [_ONE]), "2 keys for 1 values"),
        (_node("builtins.dict", '["a", "a"]', [_ONE, _ONE]), "2 keys for 2 values"),
        (_node("builtins.dict", '["a\'"]', [_ONE]), "may run code"),
        (_node("builtins.dict", '[{"__enum__": 1}]', [_ONE]), "may run code"),
        (_node("builtins.dict", None, [_ONE]), "no text"),
    ],
)
def test_what_is_refused(spec: str, why: str) -> None:
    with pytest.raises(RefusedError, match=why):
        read_structure(spec, "out_spec")


def test_too_deep() -> None:
    value: Any = torch.zeros(1)
    for _ in range(40):
        value = [value]
    with pytest.raises(RefusedError, match="nested too deeply"):
        read_structure(_spec(value), "out_spec")
