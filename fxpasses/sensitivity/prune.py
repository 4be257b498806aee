"""Measures the cost of pruning layer by layer: each layer is pruned alone, at several ratios, without retraining.

Han et al. 2015, "Learning both Weights and Connections for Efficient Neural Networks", section 4, choose a ratio for
each layer from such a scan. Masks are those of :mod:`fxpasses.pruning`. If a channel is pruned, the layer's BatchNorm
gives zero for it, too, without its shift: the layers after it read zero, as they do in a graph that is shrunk.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, fx, nn

from fxpasses.errors import InputError
from fxpasses.graph.edit import call_sites, only_reader, operator_name
from fxpasses.graph.shapes import shape_of
from fxpasses.pruning import ScoringData, apply_masks, find_dependencies, layers_matching, make_masks
from fxpasses.pruning.masks.layers import TRANSPOSED, Layer
from fxpasses.pruning.masks.selection import check_ratio

from .scoring import Batches, Score, Scorer

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
CHANNEL = "channel"
DEFAULT_RATIOS = tuple(step / 10 for step in range(1, 10))


@dataclass(frozen=True)
class PruneChoice:
    """Method by which weights to prune are chosen.

    Attributes:
        granularity: ``"weight"`` or ``"channel"``; see :func:`fxpasses.pruning.make_masks`.
        criterion: one of ``fxpasses.pruning.CRITERIA``.
        seed: seed of the criterion ``"random"``.
    """

    granularity: str = "weight"
    criterion: str = "l1"
    seed: int = 0


@dataclass(frozen=True)
class PrunableLayer:
    """A layer that can be pruned; ``macs`` are those of one input, over all its calls."""

    path: str
    operator: str
    params: int
    macs: int


@dataclass
class LayerScan:
    """Scores of one layer by ratio; only this layer is pruned."""

    layer: PrunableLayer
    scores: dict[float, Score] = field(default_factory=dict)

    def drops(self, float_score: Score) -> dict[float, float]:
        """Points of accuracy (or agreement, without labels) lost at each ratio, ascending."""
        return {ratio: float_score.quality - score.quality for ratio, score in sorted(self.scores.items())}


def prune_targets(
    gm: fx.GraphModule, layers: Sequence[str] | None = None, granularity: str = "weight"
) -> list[PrunableLayer]:
    """Find the layers of a FLOAT graph that can be pruned, or those that a pattern (a path, or an operator) matches.

    The channels of the layer that makes the output are the model's answers. It is left out if channels are pruned,
    unless a pattern names it.

    Raises:
        InputError: nothing can be pruned, or a pattern matches nothing.
    """
    found = layers_matching(gm, layers)
    if granularity == CHANNEL and layers is None:
        last = _makers_of_the_output(gm)
        found = {path: layer for path, layer in found.items() if path not in last} or found
    return [_target(gm, path, layer) for path, layer in found.items()]


def _makers_of_the_output(gm: fx.GraphModule) -> set[str]:
    (output,) = (node.name for node in gm.graph.nodes if node.op == "output")
    return {path for path, reason in find_dependencies(gm).frozen.items() if reason.node == output}


def pruned(
    gm: fx.GraphModule, ratios: Mapping[str, float], choice: PruneChoice, batches: Batches | None = None
) -> fx.GraphModule:
    """Copy a FLOAT graph and prune these shares of these layers; ``batches`` are for criteria that need data."""
    data = None if batches is None else _scoring_data(batches)
    masks = make_masks(
        gm, ratios, criterion=choice.criterion, granularity=choice.granularity, data=data, seed=choice.seed
    )
    copy = apply_masks(gm, masks)
    if choice.granularity == CHANNEL:
        _silence_batch_norms(copy, masks)
    return copy


def _silence_batch_norms(gm: fx.GraphModule, masks: Mapping[str, Tensor]) -> None:
    """Set the BatchNorm output of masked channels to zero, in place, if the BatchNorm alone reads the layer."""
    for node in gm.graph.nodes:
        if node.op != "call_module" or str(node.target) not in masks or len(call_sites(gm, node)) > 1:
            continue
        reader = only_reader(node)
        if reader is None or reader.op != "call_module" or len(call_sites(gm, reader)) > 1:
            continue
        norm = gm.get_submodule(str(reader.target))
        if isinstance(norm, BATCH_NORMS) and norm.affine:
            with torch.no_grad():
                norm.weight[~masks[str(node.target)]] = 0
                norm.bias[~masks[str(node.target)]] = 0


def score_pruned(gm: fx.GraphModule, scorer: Scorer, ratios: Mapping[str, float], choice: PruneChoice) -> Score:
    """Score a FLOAT graph with these shares of these layers pruned."""
    return scorer.score(scorer.placed(pruned(gm, ratios, choice, scorer.batches)))


def check_ratios(ratios: Sequence[float]) -> tuple[float, ...]:
    """Return the ratios in ascending order, each once.

    Raises:
        InputError: one is not in [0, 1), or there is none.
    """
    for ratio in ratios:
        check_ratio(ratio)
    if not ratios:
        raise InputError("no ratios", why="there is nothing to scan", fix="give 0.1,0.5,0.9 or the like")
    return tuple(sorted(set(ratios)))


def _scoring_data(batches: Batches) -> ScoringData | None:
    pairs = [(inputs, labels) for inputs, labels in batches() if labels is not None]
    return ScoringData(pairs) if pairs else None


def _target(gm: fx.GraphModule, path: str, layer: Layer) -> PrunableLayer:
    calls = [n for n in gm.graph.nodes if n.op == "call_module" and gm.get_submodule(str(n.target)) is layer]
    params = layer.weight.numel() + (0 if layer.bias is None else layer.bias.numel())
    return PrunableLayer(path, operator_name(gm, calls[0]) or "", params, sum(_macs(node, layer) for node in calls))


def _macs(node: fx.Node, layer: Layer) -> int:
    """Products of one input: every weight is used once for each place of the output (of the input, if transposed)."""
    source = node.args[0]
    assert isinstance(source, fx.Node)
    shape = shape_of(source if isinstance(layer, TRANSPOSED) else node) or ()
    places = shape[2:] if layer.weight.dim() > 2 else shape[1:-1]
    return layer.weight.numel() * math.prod(places)
