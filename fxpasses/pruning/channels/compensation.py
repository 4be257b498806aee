"""Adjusts the weights of the channels left to replace those removed, by a linear map: no labels, no training.

A removed channel is seldom independent of the others. It is regressed on the channels kept, ``x_r = A x_k + c``, over
all positions of some batches, and the result is added to each layer that read it: ``W_k' = W_k + W_r A``,
``bias' = bias + sum W_r c``. This is the least-squares reconstruction of He et al. 2017, "Channel Pruning for
Accelerating Very Deep Neural Networks", with the same map at every place of the kernel, so that only the covariance of
channels is needed. Lossy, but less so than zeros.

A layer without a bias leaves the constant to the BatchNorm after it, whose statistics have to be estimated again in any
case. Layers with more than ``MOST_INPUTS`` inputs, grouped convolutions that lose channels of every group, and matrix
products are not adjusted.
"""

from __future__ import annotations

import torch
from torch import fx

from ..dependencies.labels import Read
from .channel_plan import Removal
from .moments import READERS, Batches, Moments, measure_moments, weighted_reads


def compensate(removal: Removal, small: fx.GraphModule, batches: Batches) -> int:
    """Adjust the weights of ``small``, the result of :func:`.shrinking.shrink` for ``removal``, in place.

    Args:
        removal: the channels removed, with the graph they were removed from, which is run and not changed.
        small: the graph without them, not changed since.
        batches: inputs as the graph takes them; some hundred images are enough.

    Returns:
        Number of layers adjusted.
    """
    reads = [r for r in weighted_reads(removal.dependencies.labelling) if not removal.keeps(r.atoms).all()]
    moments = measure_moments(removal.dependencies.gm, reads, batches)
    with torch.no_grad():
        for read in reads:
            _adjust(removal, small, read, moments[read.source, read.axis])
    return len(reads)


def _adjust(removal: Removal, small: fx.GraphModule, read: Read, moments: Moments) -> None:
    path = str(read.node.target)
    large, layer = removal.dependencies.gm.get_submodule(path), small.get_submodule(path)
    assert isinstance(large, READERS) and isinstance(layer, READERS)
    keeps = torch.from_numpy(removal.keeps(read.atoms))
    slopes, constants = moments.regression(keeps.nonzero()[:, 0], (~keeps).nonzero()[:, 0])
    weight = large.weight.detach().double()
    outputs = removal.dependencies.labelling.parameters[id(large.weight), 0]
    if outputs is not None:
        weight = weight[torch.from_numpy(removal.keeps(outputs))]
    from_removed = weight[:, ~keeps]
    added = torch.einsum("or...,rk->ok...", from_removed, slopes)
    layer.weight.copy_((weight[:, keeps] + added).to(layer.weight))
    if layer.bias is not None:
        layer.bias += torch.einsum("or...,r->o", from_removed, constants).to(layer.bias)
