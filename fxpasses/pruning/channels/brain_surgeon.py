"""Scores channels by the error that their removal causes after the weights left are adjusted.

This is the optimal brain surgeon (Hassibi and Stork 1993) for whole inputs of a layer. With the covariance ``H`` of the
channels that a layer reads, removing channel ``c`` and solving for the rest changes the layer's output by
``||W_c||^2 / [H^-1]_cc`` in the mean square. This error is left after :func:`.compensation.compensate`. The score of a
channel is the sum over all layers that read it, each in units of the energy of the layer's output. It needs inputs, but
neither labels nor gradients. Scores do not compare across layers: an equal share of the energy matters more in one
layer than in another.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..dependencies.groups import Dependencies
from .moments import READERS, Batches, Moments, measure_moments, weighted_reads

SURGEON = "surgeon"
"""Name of this criterion on the command line."""


def surgeon_scores(dependencies: Dependencies, batches: Batches) -> dict[str, Tensor]:
    """``[C_out]`` for each layer with output channels, high = keep; all channels of a class get the same share of its
    score.

    Raises:
        InputError: there is not one batch.
    """
    reads = list(weighted_reads(dependencies.labelling))
    moments = measure_moments(dependencies.gm, reads, batches)
    totals = np.zeros(dependencies.classes.count)
    for read in reads:
        found = moments[read.source, read.axis]
        layer = dependencies.gm.get_submodule(str(read.node.target))
        assert isinstance(layer, READERS)
        harm = _harm(layer.weight.detach().double(), found).numpy()
        np.add.at(totals, dependencies.classes.roots(read.atoms), harm)
    shared = np.zeros(dependencies.classes.count)
    for roots in dependencies.made.values():
        np.add.at(shared, roots, 1.0)
    return {
        path: torch.from_numpy(totals[roots] / np.maximum(shared[roots], 1)).float()
        for path, roots in dependencies.made.items()
    }


def _harm(weight: Tensor, moments: Moments) -> Tensor:
    """``[C_in]``: the mean square change of the output for each input removed, as a share of the output's energy."""
    covariance = moments.covariance()
    inverse = torch.linalg.inv(covariance).diagonal()
    places = weight.flatten(2).movedim(-1, 0) if weight.dim() > 2 else weight[None]  # [kernel, C_out, C_in]
    energy = torch.einsum("koi,ij,koj->", places, covariance, places)
    harm: Tensor = places.square().sum((0, 1)) / inverse / energy.clamp(min=1e-30)
    return harm
