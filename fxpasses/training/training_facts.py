"""Facts that a TRAINING graph stores beside its modules; its copies have them, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import fx

from ..errors import GraphError
from ..graph.stages import Stage, check_stage, graph_facts
from ..quantization.config import QuantConfig
from ..quantization.numbers.qparams import IntType
from .config import TrainingConfig
from .layer_bits import LayerBits


@dataclass(frozen=True)
class TrainingFacts:
    """Facts of one TRAINING graph.

    Attributes:
        config: settings it was prepared with.
        quant: settings to convert it with.
        bits: bits of its layers, by the name of their node.
        narrow: grid after each clamp for fewer than 8 bits, by the clamp's name.
        samples: a few real inputs, on which integers are compared.
        int8: QUANTIZED graph that a frozen graph computes; its integers are those from when it was frozen.
        buffers: paths of weight and bias in ``int8`` for each layer of the frozen graph, by the layer's path.
    """

    config: TrainingConfig
    quant: QuantConfig
    bits: Mapping[str, LayerBits]
    narrow: Mapping[str, IntType]
    samples: tuple[Any, ...] = field(repr=False, default=())
    int8: fx.GraphModule | None = field(repr=False, default=None)
    buffers: Mapping[str, tuple[str, str | None]] = field(default_factory=dict)


def set_facts(gm: fx.GraphModule, facts: TrainingFacts) -> None:
    graph_facts(gm).training = facts


def facts_of(gm: fx.GraphModule, step: str) -> TrainingFacts:
    """Return the facts of a TRAINING graph.

    Raises:
        GraphError: the graph is in another stage.
    """
    check_stage(gm, Stage.TRAINING, step)
    facts = graph_facts(gm).training
    assert facts is not None
    return facts


def take_out_facts(gm: fx.GraphModule) -> None:
    """Remove the facts: a graph made from a TRAINING graph is in another stage."""
    graph_facts(gm).training = None


def require_open(gm: fx.GraphModule, step: str) -> TrainingFacts:
    """Return the facts of a graph whose scales still change.

    Raises:
        GraphError: it is frozen, or no TRAINING graph.
    """
    facts = facts_of(gm, step)
    if facts.int8 is not None:
        raise GraphError(
            f"{step} got a frozen TRAINING graph",
            why="its scales are settled and its BatchNorms folded",
            fix="pass the graph of fx.prepare_training, or go on with fx.convert_trained(graph)",
            step=step,
        )
    return facts
