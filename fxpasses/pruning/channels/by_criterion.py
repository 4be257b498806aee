"""Scores of channels, and the choice of those to remove, for any criterion and any amount.

The command and :func:`fxpasses.prune` differ in where data comes from, and in what they report; the rest is here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..dependencies.groups import Dependencies
from ..masks.criteria import WITH_DATA
from ..masks.data_criteria import ScoringData
from ..masks.selection import Scope
from .brain_surgeon import SURGEON, surgeon_scores
from .budget import Budget, Fit, Measure, choose_within
from .channel_plan import Removal, choose_channels
from .scoring import COMPARABLE, channel_scores


def criterion_scores(
    dependencies: Dependencies,
    criterion: str,
    samples: Callable[[], Iterable[Any]],
    data: Callable[[], ScoringData],
    seed: int = 0,
) -> dict[str, Tensor]:
    """Scores ``[C_out]`` for each layer, high = keep.

    Args:
        samples: inputs of the graph, for the criterion that measures how channels vary together.
        data: inputs with labels, for criteria with gradients or activations. Only what the criterion needs is called.

    Raises:
        InputError: there is no such criterion, or no data for it.
    """
    if criterion == SURGEON:
        return surgeon_scores(dependencies, samples())
    given = data() if criterion in WITH_DATA else None
    return channel_scores(dependencies.gm, criterion, data=given, seed=seed)


@dataclass(frozen=True)
class ChannelChoice:
    """Channels that may be removed, and the way in which their scores are compared.

    Attributes:
        criterion: that of the scores.
        layers, scope, keep_joined: as for :func:`fxpasses.pruning.choose_channels`.
    """

    criterion: str
    layers: Sequence[str] | str | None = None
    scope: Scope = "layer"
    keep_joined: bool = False

    def ratio(
        self, dependencies: Dependencies, ratio: float, scores: Mapping[str, Tensor], round_to: int = 1
    ) -> Removal:
        """Remove a share of the channels; raises as :func:`fxpasses.pruning.choose_channels` does."""
        return choose_channels(dependencies, ratio, scores, round_to=round_to, **self._settings())

    def within(
        self,
        dependencies: Dependencies,
        budget: Budget,
        scores: Mapping[str, Tensor],
        round_to: int = 1,
        measure: Measure | None = None,
    ) -> Fit:
        """Remove as few channels as a budget asks for; raises as :func:`fxpasses.pruning.choose_within` does."""
        return choose_within(dependencies, budget, scores, measure=measure, round_to=round_to, **self._settings())

    def _settings(self) -> dict[str, Any]:
        return {
            "layers": self.layers,
            "scope": self.scope,
            "keep_joined": self.keep_joined,
            "comparable": self.criterion in COMPARABLE,
        }
