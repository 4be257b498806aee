"""The stages a graph goes through, and what must hold in each.

FLOAT -> OBSERVED -> QUANTIZED, FLOAT -> TRAINING -> QUANTIZED, or FLOAT -> LOWERED (fp16, bf16, int8 or int4 weights,
dynamic int8). A pass names the stage it works on; :func:`check_stage` verifies the graph really is in it, so a pass
never meets a graph that another one left half done.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from torch import fx, nn

from .errors import GraphError

_META = "fxpasses"
"""The key in ``GraphModule.meta`` under which the toolkit keeps its facts about a graph."""


class Stage(Enum):
    FLOAT = "FLOAT"
    OBSERVED = "OBSERVED"
    TRAINING = "TRAINING"
    QUANTIZED = "QUANTIZED"
    LOWERED = "LOWERED"


_HOW_TO_REACH = {
    Stage.FLOAT: "graph = fx.fuse(fx.capture(model.eval(), example_inputs))",
    Stage.OBSERVED: "graph = fx.observe(float_graph, fx.QuantConfig(...))",
    Stage.TRAINING: "graph = fx.prepare_training(float_graph, batches, fx.TrainingConfig(...))",
    Stage.QUANTIZED: "int8 = fx.convert(observed_graph)",
    Stage.LOWERED: "lowered = to_half(float_graph, ...), or another of fxpasses.precision",
}


def graph_facts(gm: fx.GraphModule) -> dict[str, Any]:
    """What the toolkit recorded about a graph: ``stage``, ``config``, ``example_shapes`` and the like."""
    facts: dict[str, Any] = gm.meta.setdefault(_META, {})
    return facts


def stage_of(gm: nn.Module) -> Stage | None:
    """The stage a graph is in; None if the toolkit did not make it."""
    if not isinstance(gm, fx.GraphModule):
        return None
    stage = gm.meta.get(_META, {}).get("stage")
    return stage if isinstance(stage, Stage) else None


def set_stage(gm: fx.GraphModule, stage: Stage) -> None:
    graph_facts(gm)["stage"] = stage


def check_stage(gm: nn.Module, wanted: Stage, step: str) -> None:
    """Raise GraphError unless the graph is in the wanted stage."""
    found = stage_of(gm)
    if found is wanted:
        return
    what = f"a graph in stage {found.value}" if found else f"a {type(gm).__name__} that was not captured"
    raise GraphError(
        f"{step} got {what}",
        why=f"{step} works on a {wanted.value} graph",
        fix=_HOW_TO_REACH[wanted],
        step=step,
    )
