"""Each error names what was found, where, why it cannot be used, and the one thing to do next."""

from __future__ import annotations

import copy
import operator

import pytest
import torch
from torch import fx, nn

from fxpasses.errors import FxPassesError, GraphError, InputError, describe, source_line


def traced_linear() -> fx.Node:
    """The only call_module node of a traced net."""
    graph = fx.symbolic_trace(nn.Sequential(nn.Linear(3, 2))).graph
    nodes: list[fx.Node] = [node for node in graph.nodes if node.op == "call_module"]
    return nodes[0]


def node_with_trace(trace: str | None) -> fx.Node:
    node = traced_linear()
    node.stack_trace = trace
    return node


USER_FRAME = '  File "nets/resnet.py", line 41, in forward\n    x = self.bn1(x)\n'
TORCH_FRAME = '  File "/site-packages/torch/nn/modules/module.py", line 1775, in _call_impl\n    return forward()\n'


def test_input_error_has_three_lines() -> None:
    error = InputError("no file model.pt", why="it is not there", fix="check the path")
    assert str(error) == "no file model.pt\n  why: it is not there\n  fix: check the path"
    assert (error.what, error.why, error.fix) == ("no file model.pt", "it is not there", "check the path")


def test_graph_error_leaves_out_what_it_does_not_know() -> None:
    assert str(GraphError("the graph", why="it is empty", fix="capture again")) == (
        "the graph\n  why: it is empty\n  fix: capture again"
    )


def test_graph_error_at_a_node_names_node_line_and_step() -> None:
    error = GraphError.at_node(node_with_trace(USER_FRAME), why="in training mode", fix="eval()", step="pass fold")
    assert str(error).splitlines() == [
        "node '_0' (call_module 0)",
        '  at:  File "nets/resnet.py", line 41, in forward',
        "  why: in training mode",
        "  fix: eval()",
        "  in:  pass fold",
    ]


@pytest.mark.parametrize(
    "error", [InputError("a", why="b", fix="c"), GraphError("a", why="b", fix="c")], ids=["input", "graph"]
)
def test_all_are_fxpasses_errors(error: FxPassesError) -> None:
    with pytest.raises(FxPassesError, match="a\n  why: b\n  fix: c"):
        raise error


def test_describe_names_functions() -> None:
    graph = fx.Graph()
    added = graph.call_function(operator.add, (graph.placeholder("x"), 1))
    assert describe(added) == "node 'add' (call_function add)"
    assert describe(graph.call_function(torch.relu, (added,))) == "node 'relu' (call_function relu)"


def test_source_line_is_the_users() -> None:
    assert source_line(node_with_trace(USER_FRAME + TORCH_FRAME)) == 'File "nets/resnet.py", line 41, in forward'


def test_source_line_is_the_users_innermost() -> None:
    inner = '  File "nets/block.py", line 7, in forward\n'
    assert source_line(node_with_trace(USER_FRAME + inner + TORCH_FRAME)) == 'File "nets/block.py", line 7, in forward'


def test_source_line_falls_back_to_torch() -> None:
    expected = 'File "/site-packages/torch/nn/modules/module.py", line 1775, in _call_impl'
    assert source_line(node_with_trace(TORCH_FRAME)) == expected


@pytest.mark.parametrize("trace", [None, "", "no frame in here"])
def test_source_line_unknown(trace: str | None) -> None:
    assert source_line(node_with_trace(trace)) is None


def test_source_line_kept_in_meta_survives_a_copy() -> None:
    node = traced_linear()
    node.meta["stack_trace"] = USER_FRAME
    assert source_line(node) == 'File "nets/resnet.py", line 41, in forward'


@pytest.mark.parametrize(
    "error", [InputError("a", why="b", fix="c", at="d"), GraphError("a", why="b", fix="c", at="d", step="e")]
)
def test_errors_travel_between_processes(error: FxPassesError) -> None:
    again = copy.deepcopy(error)  # by the same way as pickle
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


class Fails(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise InputError("a value", why="it is NaN", fix="look for it")


def test_torch_adds_nothing_to_the_text() -> None:
    """An interpreter of torch.fx appends its own traceback to the arguments of errors."""
    graph = fx.Graph()
    graph.output(graph.call_module("leaf", (graph.placeholder("x"),)))
    gm = fx.GraphModule({"leaf": Fails()}, graph)
    with pytest.raises(InputError) as caught:
        fx.Interpreter(gm).run(torch.zeros(2))
    assert "While executing" in str(caught.value.args[0])
    assert str(caught.value) == "a value\n  why: it is NaN\n  fix: look for it"
    assert str(copy.copy(caught.value)) == str(caught.value)  # as a worker process gives it back
