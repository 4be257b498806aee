"""The vocabulary finds an operator by any of its spellings, and does not claim other calls."""

from __future__ import annotations

import operator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import fx, nn

from fxpasses.graph.operator_table import VOCABULARY
from fxpasses.graph.operators import Operator, Scaling, Spelling, Vocabulary, aten_name


def graph_with(target: Any, *args: Any, op: str = "call_function", **kwargs: Any) -> tuple[fx.GraphModule, fx.Node]:
    graph = fx.Graph()
    x = graph.placeholder("x")
    node = graph.create_node(op, target, tuple(x if a == "x" else a for a in args), kwargs)
    graph.output(node)
    root = nn.ModuleDict({"act": nn.ReLU(), "conv": nn.Conv2d(1, 1, 1)})
    return fx.GraphModule(root, graph), node


@pytest.mark.parametrize(
    ("target", "op"),
    [
        (F.relu, "call_function"),
        (torch.relu, "call_function"),
        (torch.ops.aten.relu.default, "call_function"),
        (torch.ops.aten.relu_.default, "call_function"),
        ("relu", "call_method"),
        ("relu_", "call_method"),
        ("act", "call_module"),
    ],
)
def test_one_operator_whatever_the_spelling(target: Any, op: str) -> None:
    found = VOCABULARY.spelling(*graph_with(target, "x", op=op))
    assert found is not None
    assert found[0] is VOCABULARY["relu"]


@pytest.mark.parametrize(
    ("target", "args", "kwargs", "name"),
    [
        (torch.relu, ("x",), {}, "relu"),
        (F.relu, ("x",), {}, None),
        (torch.add, ("x", "x"), {"alpha": 2}, "add"),
        (torch.add, ("x", "x"), {"out": "x"}, None),
        (torch.mean, ("x", 1), {}, None),
        (torch.mean, ("x",), {"dim": 1}, "mean"),
        (operator.getitem, ("x", 0), {}, "slice"),
        (torch.sin, ("x",), {}, None),
    ],
)
def test_only_canonical_calls_are_operators(target: Any, args: Any, kwargs: Any, name: str | None) -> None:
    found = VOCABULARY.operator(*graph_with(target, *args, **kwargs))
    assert (found.name if found else None) == name


def test_a_bound_that_is_computed_is_no_setting() -> None:
    gm, node = graph_with(torch.clamp, "x", min=0.5)
    assert VOCABULARY.operator(gm, node) is VOCABULARY["clip"]
    node.kwargs = {"min": node.args[0]}
    assert VOCABULARY.operator(gm, node) is None


def test_layers_match_by_their_very_class() -> None:
    class Subclass(nn.Conv2d):
        """A subclass may compute anything."""

    assert VOCABULARY.layer(nn.Conv2d(1, 1, 1)) is VOCABULARY["conv2d"]
    assert VOCABULARY.layer(Subclass(1, 1, 1)) is None
    assert VOCABULARY.operator(*graph_with("conv", "x", op="call_module")) is VOCABULARY["conv2d"]


def test_spells_says_whether_a_class_or_function_is_known() -> None:
    assert VOCABULARY.spells(nn.Hardswish)
    assert VOCABULARY.spells(F.conv2d)
    assert not VOCABULARY.spells(nn.Sequential)


def test_aten_names_leave_out_the_overload() -> None:
    assert aten_name(torch.ops.aten.add.Tensor) == aten_name(torch.ops.aten.add.Scalar) == "aten.add"
    assert aten_name(torch.ops.aten.add_.Tensor) == "aten.add_"
    assert aten_name(torch.add) is None


def test_names_and_spellings_must_be_new() -> None:
    one = Operator("one", torch.sin, spellings=(Spelling(torch.sin, ("input",)),), scaling=Scaling.OWN)
    vocabulary = Vocabulary([one])
    with pytest.raises(AssertionError, match="one"):
        vocabulary.add(one)
    with pytest.raises(AssertionError, match="spells both one and two"):
        vocabulary.add(Operator("two", torch.cos, spellings=(Spelling(torch.sin, ("input",)),)))


def test_an_operator_names_its_tensors_and_itself() -> None:
    assert VOCABULARY["add"].tensor_names == ("input", "other")
    assert VOCABULARY["scaled_dot_product_attention"].tensor_names == ("input", "other", "third")
    assert str(VOCABULARY["add"]) == "add"
