"""Errors of passes and of graphs: what raises one, a part of its remedy, and the remedy taken."""

from __future__ import annotations

from typing import Any

from remedy_subjects import Case, small_graph, through_torch_save
from remedy_subjects import X as ROWS
from tiny_graphs import own_copy
from torch import Tensor, nn
from torch import fx as torch_fx

import fxpasses as fx
from fxpasses.errors import GraphError
from fxpasses.export import load, save
from fxpasses.graph.edit import bypass, module_of, operator_name
from fxpasses.graph.pass_runner import PassResult, run_passes

GRAPH = "fxpasses/graph"


def of_a_module(again: bool) -> Any:
    """The linear layer of a graph in which the caller has put another module, or of one that is captured again."""
    graph = small_graph()
    node = next(n for n in graph.graph.nodes if n.op == "call_module")
    if not again:
        graph.set_submodule(str(node.target), nn.Identity())
    return module_of(graph, node, nn.Linear)


class Doubles(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2


def with_a_leaf(hidden: bool) -> torch_fx.GraphModule:
    """A graph with a module kept whole, whose class pickle finds or not."""

    class Hidden(Doubles):
        pass

    model = nn.Sequential(nn.Linear(3, 4), Hidden() if hidden else Doubles())
    return fx.capture(model.eval(), ROWS, leaves=["1"])


def reorders(gm: torch_fx.GraphModule) -> PassResult:
    calls = [n for n in gm.graph.nodes if n.op.startswith("call_")]
    calls[0].prepend(calls[-1])
    return PassResult()


def bypasses(gm: torch_fx.GraphModule) -> PassResult:
    result = PassResult()
    node = next(n for n in gm.graph.nodes if operator_name(gm, n) == "relu")
    result.change(node, "bypassed")
    bypass(gm, node, node.all_input_nodes[0])
    return result


def wants_linear(gm: torch_fx.GraphModule) -> PassResult:
    node = next(n for n in gm.graph.nodes if n.op.startswith("call_"))
    if gm.meta.get("other"):
        return PassResult()
    raise GraphError.at_node(node, why="it wants another graph", fix="mark the graph as other")


def marked(graph: torch_fx.GraphModule) -> torch_fx.GraphModule:
    graph.meta["other"] = True
    return graph


_DTYPE = "\ntorch.set_default_dtype(torch.{})"


PASS_CASES: dict[str, Case] = {
    f"{GRAPH}/edit.py:module_of": (
        lambda _: of_a_module(again=False),
        "capture it again",
        lambda _: of_a_module(again=True),
    ),
    f"{GRAPH}/graph_module.py:_not_picklable": (
        lambda folder: through_torch_save(with_a_leaf(hidden=True), folder),
        "define it at the top of its file",
        lambda folder: (
            through_torch_save(with_a_leaf(hidden=False), folder),
            load(save(with_a_leaf(hidden=True), folder / "model.pt2")),
        ),
    ),
    f"{GRAPH}/pass_runner.py:_run": (
        lambda _: run_passes(small_graph(), [wants_linear]),
        "mark the graph as other",
        lambda _: run_passes(marked(small_graph()), [wants_linear]),
    ),
    f"{GRAPH}/pass_runner.py:_check": (
        lambda _: run_passes(own_copy(small_graph()), [reorders]),
        "mend reorders: change graphs through fxpasses.graph.edit",
        lambda _: run_passes(own_copy(small_graph()), [bypasses]),
    ),
}
