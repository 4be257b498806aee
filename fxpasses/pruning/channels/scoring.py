"""Scores of output channels, to choose those to remove; see :mod:`fxpasses.pruning.masks.criteria`."""

from __future__ import annotations

from torch import Tensor, fx

from ...passes.fusion import fuse
from ..masks.criteria import WITH_DATA, check_criterion, scores_from_weights
from ..masks.data_criteria import ScoringData, scores_from_data
from ..masks.layers import prunable_layers

COMPARABLE = ("taylor", "movement", "random")
"""Criteria whose scores have the same meaning in every layer: a change of the loss."""


def channel_scores(
    gm: fx.GraphModule, criterion: str = "l1", *, data: ScoringData | None = None, seed: int = 0
) -> dict[str, Tensor]:
    """Scores ``[C_out]`` for each layer that the criterion can score, high = keep.

    Gradients are taken with BatchNorm folded, so that they measure the removal of a channel including the shift of its
    BatchNorm.

    Raises:
        InputError: there is no such criterion, or it needs data and has none.
    """
    check_criterion(criterion, "channel", has_data=data is not None)
    if criterion in WITH_DATA:
        assert data is not None
        scored = gm if criterion == "activation" else fuse(gm)
        return scores_from_data(scored, prunable_layers(scored), criterion, "channel", data)
    return scores_from_weights(gm, prunable_layers(gm), criterion, "channel", seed)
