"""Arguments of calls: values made before, and constants of the right kind."""

from __future__ import annotations

import math
import operator
from typing import Any

import pytest
import torch
from torch import fx

from fxpasses.export.pt2_program.arguments import read_argument, read_arguments
from fxpasses.export.pt2_records.records import RefusedError

GRAPH = fx.Graph()
X = GRAPH.placeholder("x")
VALUES = {"x": X}


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ({"as_none": True}, None),
        ({"as_tensor": {"name": "x"}}, X),
        ({"as_tensors": [{"name": "x"}]}, [X]),
        ({"as_optional_tensors": [{"as_none": True}, {"as_tensor": {"name": "x"}}]}, [None, X]),
        ({"as_int": -3}, -3),
        ({"as_ints": [1, 2]}, [1, 2]),
        ({"as_float": 0.5}, 0.5),
        ({"as_float": "-Infinity"}, -math.inf),
        ({"as_bool": False}, False),
        ({"as_string": "tanh"}, "tanh"),
        ({"as_scalar_type": 7}, torch.float32),
        ({"as_memory_format": 2}, torch.channels_last),
        ({"as_layout": 7}, torch.strided),
        ({"as_device": {"type": "cpu", "index": None}}, torch.device("cpu")),
        ({"as_sym_int": {"as_name": "x"}}, X),
        ({"as_sym_ints": [{"as_int": 1}, {"as_name": "x"}]}, [1, X]),
    ],
)
def test_kinds(argument: Any, value: Any) -> None:
    assert read_argument(argument, VALUES, "node") == value


@pytest.mark.parametrize(
    ("argument", "why"),
    [
        ({"as_tensor": {"name": "y"}}, "reads y, which nothing before it makes"),
        ({"as_sym_int": {"as_name": "y"}}, "reads y"),
        ({"as_sym_int": {"as_tensor": "x"}}, "is no number"),
        ({"as_optional_tensor": {"as_int": 1}}, "is no tensor"),
        ({"as_int": "1"}, "no integer"),
        ({"as_ints": 1}, "no list"),
        ({"as_string": "open('x')"}, "may run code"),
        ({"as_layout": 1}, "no dense layout"),
        ({"as_memory_format": 9}, "no memory format"),
        ({"as_device": {"type": "cuda", "index": 0}}, "not on the CPU"),
        ({"as_operator": "torch.os.system"}, "as_operator, which no saved graph has"),
        ({"as_graph": {}}, "as_graph, which no saved graph has"),
        ({"as_custom_obj": {}}, "as_custom_obj, which no saved graph has"),
        ({}, "0 things at once"),
        (7, "no table"),
    ],
)
def test_what_is_refused(argument: Any, why: str) -> None:
    with pytest.raises(RefusedError, match=why):
        read_argument(argument, VALUES, "node")


def _given(name: str, arg: Any, kind: int | None = 1) -> dict[str, Any]:
    return {"name": name, "arg": arg, "kind": kind}


_X = {"as_tensor": {"name": "x"}}
ADD = torch.ops.aten.add.Tensor


def test_by_position_and_by_keyword() -> None:
    given = [_given("self", _X), _given("other", _X), _given("alpha", {"as_int": 2}, 2)]
    assert read_arguments(ADD, given, VALUES, "node") == ((X, X), {"alpha": 2})
    assert read_arguments(operator.mul, [_given("a", _X), _given("b", {"as_int": 2})], VALUES, "node") == ((X, 2), {})


@pytest.mark.parametrize(
    "given",
    [
        [_given("other", _X)],
        [_given("self", _X), _given("self", _X, 2), _given("self", _X, 2)],
        [_given("self", _X, 2), _given("other", _X, 1)],
        [_given("self", _X, None)],
        [_given("self", _X), _given("other", _X), _given("alpha", {"as_int": 2}, 1)],
        [_given("x\ny", _X, 2)],
        [_given("out", _X, 2)],
        [_given("self", _X), _given("other", _X), _given("alpha", _X, 2), _given("more", _X)],
    ],
)
def test_arguments_the_operator_does_not_take(given: list[Any]) -> None:
    with pytest.raises(RefusedError, match=r"which it does not take|neither by position nor by keyword"):
        read_arguments(ADD, given, VALUES, "node")
