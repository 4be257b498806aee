"""Replaces the layers of a calibrated graph by layers in training, with the BatchNorms that were folded into them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor, fx

from ...graph.pass_runner import PassResult, pass_logs
from ...quantization.int8.observe import without_observers
from ...quantization.int8.plan import plan_quantization
from ...quantization.ranges.range_search import weight_scales
from ..layer_bits import layers_of, made_by_lowering
from ..training_facts import TrainingFacts
from .output_statistics import Statistics, output_statistics
from .trained_layer import LAYERS, Layer, Norm, TrainedLayer, with_norm

EPS, MOMENTUM = 1e-5, 0.1
"""Settings of the BatchNorms made here; the defaults of torch."""


def row_lengths(gm: fx.GraphModule) -> dict[str, Tensor]:
    """Length of each row of the layers' weights, ``[C_out]``, by the layer's path."""
    found = {}
    for node in gm.graph.nodes:
        layer = gm.get_submodule(str(node.target)) if node.op == "call_module" else None
        if isinstance(layer, LAYERS):
            found[str(node.target)] = layer.weight.detach().flatten(1).norm(dim=1)
    return found


def put_layers(
    gm: fx.GraphModule,
    observed: fx.GraphModule,
    facts: TrainingFacts,
    samples: Iterable[tuple[Any, ...]],
    lengths: dict[str, Tensor],
    result: PassResult,
) -> None:
    """Replace int8 layers of ``gm``, a copy of ``observed``, in place; other layers are kept and train as they are."""
    statistics = output_statistics(observed, _normed_layers(gm), samples)
    padding, done = made_by_lowering(gm, ["channel_pad_to_conv"]), set[str]()
    for planned in layers_of(plan_quantization(without_observers(observed), facts.quant)):
        path = str(planned.target)
        layer = gm.get_submodule(path)
        if path in padding:
            layer.requires_grad_(False)  # its zeros and ones are no weights of the model
        if path in done or path in padding or not isinstance(layer, LAYERS):
            continue
        done.add(path)
        bits = facts.bits[planned.name].weight
        trained = _trained(layer, bits, facts, statistics.get(planned.name), lengths.get(path))
        gm.set_submodule(path, trained)
        behind = "" if trained.norm is None else ", with BatchNorm behind it"
        result.change(planned, f"weights on {trained.grid.levels + 1} levels in training{behind}")


def _trained(
    layer: Layer, bits: int, facts: TrainingFacts, statistics: Statistics | None, lengths: Tensor | None
) -> TrainedLayer:
    norm: Norm | None = None
    if statistics is not None:
        layer, norm = with_norm(layer, lengths, *statistics, eps=EPS, momentum=MOMENTUM)
    grid = facts.quant.weight_grid(bits)
    return TrainedLayer(layer, grid, weight_scales(layer.weight, 0, grid, search="mse"), norm)


def _normed_layers(gm: fx.GraphModule) -> set[str]:
    """Names of the layers that fusion folded a BatchNorm into."""
    return {c.folded_into for log in pass_logs(gm) for c in log.result.changed if c.folded_into is not None}
