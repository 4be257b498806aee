"""Scores of output channels, to choose what to remove; see :mod:`.criteria`."""

from __future__ import annotations

from torch import Tensor, fx

from .criteria import WITH_DATA, check_criterion, scores_from_weights
from .data_criteria import ScoringData, scores_from_data
from .layers import prunable_layers

COMPARABLE = ("taylor", "movement", "random")
"""Criteria whose scores mean the same in every layer: changes of the loss."""


def channel_scores(
    gm: fx.GraphModule, criterion: str = "l1", *, data: ScoringData | None = None, seed: int = 0
) -> dict[str, Tensor]:
    """``[C_out]`` for each layer the criterion can score, high = keep.

    Raises:
        InputError: there is no such criterion, or it needs data and has none.
    """
    check_criterion(criterion, "channel", has_data=data is not None)
    layers = prunable_layers(gm)
    if criterion in WITH_DATA:
        assert data is not None
        return scores_from_data(gm, layers, criterion, "channel", data)
    return scores_from_weights(gm, layers, criterion, "channel", seed)
