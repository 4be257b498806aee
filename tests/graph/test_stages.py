"""A step works on the stage it names, and its error says how to reach it."""

from __future__ import annotations

import copy

import pytest
from torch import fx, nn

from fxpasses.errors import GraphError
from fxpasses.graph.stages import Facts, Stage, check_stage, graph_facts, set_stage, stage_of


def test_a_fresh_graph_has_no_stage() -> None:
    gm = fx.symbolic_trace(nn.ReLU())
    assert stage_of(gm) is None
    assert stage_of(nn.ReLU()) is None
    assert graph_facts(gm) == Facts()


@pytest.mark.parametrize("stage", Stage)
def test_the_stage_is_kept_in_the_graphs_facts(stage: Stage) -> None:
    gm = fx.symbolic_trace(nn.ReLU())
    set_stage(gm, stage)
    assert stage_of(gm) is stage
    assert graph_facts(gm).stage is stage
    check_stage(gm, stage, "a step")
    assert stage_of(copy.deepcopy(gm)) is stage


@pytest.mark.parametrize(
    ("wanted", "remedy"),
    [
        (Stage.FLOAT, r"fx\.fuse\(fx\.capture\("),
        (Stage.OBSERVED, r"fx\.observe\("),
        (Stage.QUANTIZED, r"fx\.convert\("),
    ],
)
def test_another_stage_is_refused_with_the_way_to_the_right_one(wanted: Stage, remedy: str) -> None:
    gm = fx.symbolic_trace(nn.ReLU())
    found = Stage.QUANTIZED if wanted is Stage.FLOAT else Stage.FLOAT
    set_stage(gm, found)
    message = rf"my step got a graph in stage {found.value}\n  why: my step works on a {wanted.value} graph"
    with pytest.raises(GraphError, match=rf"{message}\n  fix: .*{remedy}"):
        check_stage(gm, wanted, "my step")


def test_a_module_that_was_not_captured_is_named() -> None:
    with pytest.raises(GraphError, match="my step got a Linear that was not captured"):
        check_stage(nn.Linear(2, 2), Stage.FLOAT, "my step")
