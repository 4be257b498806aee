"""The stages of a graph, and the conditions that hold in each.

FLOAT -> OBSERVED -> QUANTIZED, FLOAT -> TRAINING -> QUANTIZED, or FLOAT -> LOWERED (fp16, bf16, int8 or int4 weights,
dynamic int8). A pass names the stage it works on; :func:`check_stage` verifies the graph's stage, so that a pass never
gets an incomplete graph.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from torch import fx, nn

from ..errors import GraphError

if TYPE_CHECKING:
    from ..pruning.masks.masks import Masks
    from ..quantization.config import QuantConfig
    from ..signature.free_sizes import FreeSizes
    from ..training.config import TrainingConfig
    from ..training.runs.training_run import CurvePoint
    from ..training.training_facts import TrainingFacts
    from .pass_runner import PassLog

_META = "fxpasses"
"""Key in ``GraphModule.meta`` of the facts that the toolkit records about a graph."""


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


class CaptureMethod(Enum):
    """The way in which a graph was captured; the value is the text in reports."""

    TRACE = "trace"
    EXPORT = "export"
    EXPORT_OF_ONE_BATCH = "export of one batch size"
    TRACE_OF_CLOSED_CONTAINERS = "trace of closed containers"


@dataclass
class Facts:
    """Facts that the toolkit records about a graph.

    Attributes:
        stage: None if the toolkit did not make the graph.
        capture_method: the way in which it was captured; None for a graph from a file.
        example_inputs: shape and dtype of every tensor among the inputs, nested like the model's inputs.
        example_ranges: smallest and largest value of every example tensor, in order; None for one without values.
        free_sizes: dimensions of inputs and outputs that may have another size; None if they are unknown.
        config: settings of the quantization, from OBSERVED on.
        precision: precision of a LOWERED graph.
        masks: masks that were applied, one after the other.
        training: settings and facts of a TRAINING graph.
        trained: training settings of a QUANTIZED graph that was trained.
        training_curve: loss and accuracy during training.
        log: results of all passes, in order.
    """

    stage: Stage | None = None
    capture_method: CaptureMethod | None = None
    example_inputs: tuple[Any, ...] | None = None
    example_ranges: tuple[tuple[float, float] | None, ...] | None = None
    free_sizes: FreeSizes | None = None
    config: QuantConfig | None = None
    precision: str | None = None
    masks: tuple[Masks, ...] = ()
    training: TrainingFacts | None = None
    trained: TrainingConfig | None = None
    training_curve: tuple[CurvePoint, ...] = ()
    log: list[PassLog] = field(default_factory=list)


def graph_facts(gm: fx.GraphModule) -> Facts:
    """The facts recorded about a graph."""
    facts = gm.meta.setdefault(_META, Facts())
    assert isinstance(facts, Facts)
    return facts


def config_of(gm: fx.GraphModule) -> QuantConfig:
    """The settings with which an OBSERVED or QUANTIZED graph was made."""
    config = graph_facts(gm).config
    assert config is not None, "neither observed nor quantized"
    return config


def stage_of(gm: nn.Module) -> Stage | None:
    """The stage of a graph; None if the toolkit did not make it."""
    if not isinstance(gm, fx.GraphModule):
        return None
    facts = gm.meta.get(_META)
    return facts.stage if isinstance(facts, Facts) else None


def set_stage(gm: fx.GraphModule, stage: Stage) -> None:
    graph_facts(gm).stage = stage


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
