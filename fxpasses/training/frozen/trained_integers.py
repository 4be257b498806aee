"""TRAINING -> QUANTIZED: take the integers, and check on real samples that they are those of the training graph."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, fx

from ...errors import GraphError
from ...graph.pass_runner import PassLog, PassResult, copy_graph, pass_logs
from ...graph.stages import Stage, graph_facts, set_stage
from ...quantization.numbers import ops
from ...quantization.ranges.calibration import checked_batches
from ..training_facts import facts_of, take_out_facts
from .freeze import freeze_training
from .frozen_layer import FrozenLayer, quantize_through
from .settled_layers import write_integers


def convert_trained(gm: fx.GraphModule, batches: Iterable[Any] | None = None) -> fx.GraphModule:
    """Convert a TRAINING graph to a QUANTIZED one; an open graph is frozen first, with the statistics it has.

    Args:
        gm: trained result of :func:`fxpasses.prepare_training` or :func:`fxpasses.freeze_training`. It is not changed.
        batches: data to compare integers on, beside the samples kept from calibration.

    Raises:
        GraphError: the graph is no TRAINING graph; or the integers of a node differ from those of fake quantization,
            which would be a defect of fxpasses.
    """
    facts = facts_of(gm, "convert_trained")
    if facts.int8 is None:
        gm = freeze_training(gm)
        facts = facts_of(gm, "convert_trained")
    assert facts.int8 is not None
    frozen = copy_graph(gm).eval().cpu()
    int8, result = copy_graph(facts.int8), PassResult()
    for path, buffers in facts.buffers.items():
        layer = frozen.get_submodule(path)
        assert isinstance(layer, FrozenLayer)
        write_integers(int8, buffers, layer.integer_weight(), layer.integer_bias())
    compared = [facts.samples, *([] if batches is None else checked_batches(int8, batches))]
    for inputs in compared:
        require_same_integers(frozen, int8, inputs)
    for node in int8.graph.nodes:
        if node.target is ops.quantize:
            result.change(node, "the integers of fake quantization")
    take_out_facts(int8)
    graph_facts(int8).trained = facts.config
    pass_logs(int8)[:] = [*pass_logs(gm), PassLog("convert_trained", result)]
    set_stage(int8, Stage.QUANTIZED)
    return int8


class _Integers(fx.Interpreter):
    """Interpreter that keeps the output of each quantize node, as int32, by its name."""

    def __init__(self, gm: fx.GraphModule) -> None:
        super().__init__(gm)
        self.found: dict[str, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        y = super().run_node(n)
        if n.target is ops.quantize or n.target is quantize_through:
            self.found[n.name] = y.to(torch.int32)
        return y


def integers_of(gm: fx.GraphModule, inputs: tuple[Any, ...]) -> dict[str, Tensor]:
    """Compute every integer tensor of a frozen or QUANTIZED graph for a batch, int32, by the name of its node."""
    run = _Integers(gm)
    with torch.no_grad():
        run.run(*inputs)
    return run.found


def require_same_integers(frozen: fx.GraphModule, int8: fx.GraphModule, inputs: tuple[Any, ...]) -> int:
    """Compare a frozen graph with a QUANTIZED one on a batch; return the number of integers, which are all equal.

    Raises:
        GraphError: some differ; the error names the first node at which they do.
    """
    predicted, found = integers_of(frozen, inputs), integers_of(int8, inputs)
    compared = 0
    for node in int8.graph.nodes:
        if node.name not in found:
            continue
        off = int((predicted[node.name] != found[node.name]).sum())
        if off:
            raise GraphError.at_node(
                node,
                why=f"{off} of {found[node.name].numel()} integers are not those of fake quantization",
                fix="please report it with this graph; a graph edited by hand since it was frozen is the other cause",
                step="convert_trained",
            )
        compared += found[node.name].numel()
    return compared
