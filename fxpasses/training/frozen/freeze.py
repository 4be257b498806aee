"""TRAINING, open -> TRAINING, frozen: settle every scale, fold BatchNorms, and train the int8 graph itself.

The graph is converted as after post-training quantization, with learned ranges instead of measured ones. Then each
layer gets its learned steps, moved to the nearest values without rounding ties, instead of those chosen by the
conversion.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx

from ...errors import GraphError
from ...graph.edit import module_of
from ...graph.pass_runner import Change, PassLog, PassResult, copy_graph, pass_logs
from ...graph.stages import Stage, set_stage
from ...quantization.int8.convert import converted
from ...quantization.int8.observe import find_observers
from ...quantization.int8.plan import upper_bound
from ...quantization.numbers.qparams import IntType, QParams
from ...quantization.ranges.observers import Observer
from ...quantization.ranges.range_search import Range
from ..fake.broken_ranges import find_broken
from ..fake.fake_quantize import ActivationQuantizer
from ..fake.narrow_reads import set_bounds, settle_bounds
from ..fake.trained_layer import Folded, TrainedLayer
from ..training_facts import TrainingFacts, require_open, set_facts, take_out_facts
from .frozen_graph import frozen_twin, layer_path
from .norm_statistics import reestimate_statistics
from .settled_layers import settle_layers


def freeze_training(gm: fx.GraphModule, batches: Iterable[Any] | None = None) -> fx.GraphModule:
    """Begin the last phase of training: scales are fixed, and the graph computes the integers of the int8 graph.

    Args:
        gm: a trained result of :func:`fxpasses.prepare_training`. It is not changed.
        batches: training data to estimate BatchNorm statistics again, preferably without augmentation; 20 to 50 batches
            are enough. None: keep the running statistics.

    Returns:
        A frozen TRAINING graph in training mode. Its weights and biases learn, in steps of their scales.

    Raises:
        GraphError: the graph is frozen already, or no TRAINING graph; or one of its ranges or weights is not finite.
    """
    facts = require_open(gm, "freeze_training")
    _require_sound(gm)
    gm = copy_graph(gm)
    taken = 0 if batches is None else reestimate_statistics(gm, batches)
    device = next((p.device for p in gm.parameters()), torch.device("cpu"))
    gm.eval().cpu()
    folded = _with_plain_layers(gm)
    _with_fixed_ranges(gm, facts)
    take_out_facts(gm)
    set_stage(gm, Stage.OBSERVED)
    int8 = converted(gm, facts.quant)
    settle_bounds(int8, facts.narrow)
    settled = settle_layers(int8, gm, folded, facts.quant)
    result = PassResult()
    twin = frozen_twin(int8, settled)
    behind = f"; BatchNorm statistics of {taken} samples" if taken else ""
    result.changed += [Change(layer.node, f"scales settled{behind}") for layer in settled.values()]
    buffers = {layer_path(layer): layer.buffers for layer in settled.values()}
    set_facts(twin, replace(facts, int8=int8, buffers=buffers))
    pass_logs(twin).append(PassLog("freeze_training", result))
    set_stage(twin, Stage.TRAINING)
    return twin.train().to(device)


def _require_sound(gm: fx.GraphModule) -> None:
    broken = find_broken(gm)
    if broken:
        raise GraphError(
            f"the TRAINING graph, at {broken[0].where}",
            why=broken[0].why,
            fix="train again from the last good checkpoint, at a lower learning rate",
            step="freeze_training",
        )


class _FixedRange(Observer):
    """A learned mapping in the place of an observer."""

    def __init__(self, q: QParams) -> None:
        super().__init__()
        self.q = q

    @property
    def observed(self) -> int:
        return 1

    @property
    def extremes(self) -> Range:
        return self.q.range

    def _take_in(self, x: Tensor) -> None:
        pass

    def _chosen_range(self, grid: IntType, symmetric: bool) -> Range:
        return self.q.range

    def qparams(self, grid: IntType, symmetric: bool = False) -> QParams:
        return replace(self.q, grid=grid)


def _with_plain_layers(gm: fx.GraphModule) -> dict[str, Folded]:
    """Replace layers in training by layers with BatchNorm folded in; return these by path."""
    found: dict[str, Folded] = {}
    for path, module in list(gm.named_modules()):
        if isinstance(module, TrainedLayer):
            found[path] = module.folded()
            gm.set_submodule(path, found[path].layer.eval())
    return found


def _with_fixed_ranges(gm: fx.GraphModule, facts: TrainingFacts) -> None:
    for name, node in find_observers(gm).items():
        q = module_of(gm, node, ActivationQuantizer).qparams()
        q = q.with_scale(q.scale)
        source = node.all_input_nodes[0]
        if name in facts.narrow:
            set_bounds(source, q)
        else:
            # a clamp beyond which the grid reaches would stay in the graph
            q = q.with_scale(min(q.scale, upper_bound(gm, source) / max(1, q.grid.high - q.zero_point)))
        gm.set_submodule(str(node.target), _FixedRange(q))
    gm.recompile()
