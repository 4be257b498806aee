"""Scores of output channels, to choose what to remove; see :mod:`fxpasses.pruning.masks.criteria`."""

from __future__ import annotations

from torch import Tensor, fx

from ...passes.fusion import fuse
from ..masks.criteria import WITH_DATA, check_criterion, scores_from_weights
from ..masks.data_criteria import ScoringData, scores_from_data
from ..masks.layers import prunable_layers

COMPARABLE = ("taylor", "movement", "random")
"""Criteria whose scores mean the same in every layer: changes of the loss."""


def channel_scores(
    gm: fx.GraphModule, criterion: str = "l1", *, data: ScoringData | None = None, seed: int = 0
) -> dict[str, Tensor]:
    """``[C_out]`` for each layer the criterion can score, high = keep.

    Gradients are taken with BatchNorm folded, where removing a channel is what they are asked about; with it apart, the
    shift that BatchNorm adds afterwards would be left out.

    Raises:
        InputError: there is no such criterion, or it needs data and has none.
    """
    check_criterion(criterion, "channel", has_data=data is not None)
    if criterion in WITH_DATA:
        assert data is not None
        scored = gm if criterion == "activation" else fuse(gm)
        return scores_from_data(scored, prunable_layers(scored), criterion, "channel", data)
    return scores_from_weights(gm, prunable_layers(gm), criterion, "channel", seed)
