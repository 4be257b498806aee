"""Which channels can be removed with least harm, if those that are left stand in for them?

The optimal brain surgeon (Hassibi and Stork 1993) for whole inputs of a layer: with the covariance ``H`` of the
channels a layer reads, removing channel ``c`` and solving for the rest changes its output by ``||W_c||^2 / [H^-1]_cc``
in the mean square. That is what :func:`.compensation.compensate` then leaves. The score of a channel is the sum over
all its readers, each in units of the energy of its output. Needs inputs, no labels, no gradients. Scores do not
compare across layers: the same share of the energy means more here than there.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..dependencies.groups import Dependencies
from .moments import READERS, Batches, Moments, measure_moments, weighted_reads

SURGEON = "surgeon"
"""The name of this criterion on the command line."""


def surgeon_scores(dependencies: Dependencies, batches: Batches) -> dict[str, Tensor]:
    """``[C_out]`` for each layer with output channels, high = keep; a class of channels shares its score evenly.

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
