"""Scores the importance of weights or output channels, from weights alone; :mod:`.data_criteria` uses data.

A score is high where something should be kept. Scores of weights have the weight's shape, of channels ``[C_out]``.

====================  ===================  ==================================================================
criterion             weight               channel
====================  ===================  ==================================================================
l1                    ``|w|``              sum of ``|w|`` (Li et al. 2017, "Pruning Filters for Efficient ConvNets")
l2                    ``w^2``              root of the sum of ``w^2`` (He et al. 2018, "Soft Filter Pruning")
random                uniform              uniform
fpgm                                       sum of distances to all filters of the layer (He et al. 2019)
bn_scale                                   ``|gamma|`` of the BatchNorm behind it (Liu et al. 2017, "Network Slimming")
taylor                ``(w g)^2``          ``(sum of w g)^2`` (Molchanov et al. 2019), mean over batches
movement              ``-w g``             sum of ``-w g`` (Sanh et al. 2020), sum over batches
activation                                 mean of ``|output|`` behind BatchNorm and activation (Molchanov et al. 2017)
====================  ===================  ==================================================================
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, fx, nn

from ...errors import InputError
from ...graph.edit import call_sites, has_trait, only_reader
from ...graph.operators import Trait
from .layers import Layer, by_output

CHANNELS_ONLY = ("fpgm", "bn_scale", "activation")
WITH_DATA = ("taylor", "movement", "activation")
CRITERIA = ("l1", "l2", "random", "taylor", "movement", "fpgm", "bn_scale", "activation")
Granularity = Literal["weight", "channel"]


def check_criterion(criterion: str, granularity: Granularity, *, has_data: bool) -> None:
    """Raise InputError unless the criterion exists, fits the granularity, and has the data it needs."""
    if criterion not in CRITERIA:
        near = difflib.get_close_matches(criterion, CRITERIA, n=1)
        raise InputError(
            f"criterion {criterion!r}",
            why="there is no such criterion",
            fix=f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(CRITERIA)}",
        )
    if criterion in CHANNELS_ONLY and granularity == "weight":
        raise InputError(
            f"criterion {criterion!r} for single weights",
            why="it scores output channels only",
            fix="use granularity='channel', or another criterion",
        )
    if criterion in WITH_DATA and not has_data:
        raise InputError(
            f"criterion {criterion!r} without data", why="it is computed from activations or gradients", fix="give data"
        )


def scores_from_weights(
    gm: fx.GraphModule, layers: Mapping[str, Layer], criterion: str, granularity: Granularity, seed: int = 0
) -> dict[str, Tensor]:
    """Scores for each layer by a criterion that needs no data.

    Raises:
        InputError: ``bn_scale``, and no layer is read by a BatchNorm alone.
    """
    if criterion == "bn_scale":
        return _batch_norm_scales(gm, layers)
    generator = torch.Generator().manual_seed(seed)
    scores = {}
    for path, layer in layers.items():
        weight = layer.weight.detach().float()
        rows = by_output(layer, weight)
        if criterion == "random":
            scores[path] = torch.rand(weight.shape if granularity == "weight" else rows.shape[:1], generator=generator)
        elif granularity == "weight":
            scores[path] = weight.abs() if criterion == "l1" else weight.square()
        elif criterion == "fpgm":
            scores[path] = torch.cdist(rows.double(), rows.double()).sum(1).float()
        else:
            scores[path] = rows.abs().sum(1) if criterion == "l1" else rows.square().sum(1).sqrt()
    return scores


def _batch_norm_scales(gm: fx.GraphModule, layers: Mapping[str, Layer]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for node in gm.graph.nodes:
        if node.op != "call_module" or str(node.target) not in layers or len(call_sites(gm, node)) > 1:
            continue
        reader = only_reader(node)
        if reader is not None and has_trait(gm, reader, Trait.NORMALIZES):
            gamma = gm.get_submodule(str(reader.target)).weight
            if isinstance(gamma, nn.Parameter):
                found[str(node.target)] = gamma.detach().float().abs()
    if not found:
        raise InputError(
            "criterion 'bn_scale'",
            why="no layer is followed by a BatchNorm with a scale",
            fix="use a graph that is captured and not fused, or another criterion",
        )
    return found
