"""Removes as few channels as a budget asks for: of multiply-accumulates, parameters, bytes, or measured time."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from torch import Tensor

from ...errors import InputError
from ..dependencies.groups import Dependencies
from ..masks.selection import Scope
from .channel_plan import Removal, Scores, choose_channels, class_scores
from .cost import cost_of

Resource = Literal["macs", "params", "bytes", "latency"]
Measure = Callable[[Removal], float]
"""Function that returns the cost of the graph after a removal, in any unit."""

HALVINGS = 12
"""Number of halvings of the interval of ratios: 1/4096 is finer than a channel of most layers."""
HALVINGS_WHEN_MEASURED = 6
HIGHEST_RATIO = 0.98


@dataclass(frozen=True)
class Budget:
    """Upper limit of the cost, as a share of the cost of the dense graph.

    Raises:
        InputError: an unknown resource, or a share that is not in (0, 1).
    """

    resource: Resource
    share: float

    def __post_init__(self) -> None:
        known = get_args(Resource)
        if self.resource not in known:
            near = difflib.get_close_matches(str(self.resource), known, n=1)
            raise InputError(
                f"budget of {self.resource!r}",
                why="there is no such resource",
                fix=f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(known)}",
            )
        if not 0 < self.share < 1:
            raise InputError(
                f"budget {self.resource}={self.share:g}",
                why="it is the share of the dense model that may be left, between 0 and 1",
                fix=f"use {self.resource}=0.5 for half",
            )

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Parse ``"macs=0.5"``.

        Raises:
            InputError: it is not of that form.
        """
        resource, _, share = text.partition("=")
        try:
            return cls(resource, float(share))  # type: ignore[arg-type]  # checked right there
        except ValueError:
            raise InputError(
                f"budget {text!r}", why="it is not of the form RESOURCE=SHARE", fix="use macs=0.5 or the like"
            ) from None


@dataclass(frozen=True)
class Fit:
    """The removal that meets a budget, the ratio of channels removed, and the share of the resource that is left."""

    removal: Removal
    ratio: float
    share: float


def choose_within(
    dependencies: Dependencies,
    budget: Budget,
    scores: Mapping[str, Tensor],
    *,
    measure: Measure | None = None,
    layers: Sequence[str] | str | None = None,
    scope: Scope = "layer",
    round_to: int = 1,
    keep_joined: bool = False,
    comparable: bool = False,
) -> Fit:
    """Find by bisection the smallest ratio of channels whose removal meets the budget.

    If counts are rounded, a small step of the ratio may remove channels of many layers at once, more than needed. These
    are then restored group by group, the most important first, as long as the budget holds; not if costs are measured.

    Args:
        dependencies: of the graph to shrink.
        budget: the resource and the share of it that may be left.
        scores: ``[C_out]`` for each layer, high = keep.
        measure: the cost of a removal; required for latency, counted from shapes for everything else.
        layers: as for :func:`fxpasses.pruning.choose_channels`.
        scope: as for :func:`fxpasses.pruning.choose_channels`.
        round_to: as for :func:`fxpasses.pruning.choose_channels`.
        keep_joined: as for :func:`fxpasses.pruning.choose_channels`.
        comparable: as for :func:`fxpasses.pruning.choose_channels`.

    Raises:
        InputError: the budget cannot be met, or latency without ``measure``.
    """
    cost = measure or _counted(budget.resource)
    tries = HALVINGS if measure is None else HALVINGS_WHEN_MEASURED

    def at(ratio: float) -> Fit:
        removal = choose_channels(
            dependencies,
            ratio,
            scores,
            layers=layers,
            scope=scope,
            round_to=round_to,
            keep_joined=keep_joined,
            comparable=comparable,
        )
        return Fit(removal, ratio, cost(removal) / dense)

    nothing = choose_channels(dependencies, 0.0, scores, layers=layers).none()
    dense = cost(nothing)
    low, best = Fit(nothing, 0.0, 1.0), at(HIGHEST_RATIO)
    if best.share > budget.share:
        raise InputError(
            f"budget {budget.resource}={budget.share:g}",
            why=f"{best.share:.2f} is left with {HIGHEST_RATIO:.0%} of the channels gone that can go",
            fix="ask for more, or let more layers be pruned",
        )
    for _ in range(tries):
        tried = at((low.ratio + best.ratio) / 2)
        if tried.share <= budget.share:
            best = tried
        else:
            low = tried
    if measure is not None:
        return best
    return _given_back(best, low, class_scores(dependencies, scores), lambda removal: cost(removal) / dense, budget)


def _given_back(best: Fit, low: Fit, totals: Scores, share_of: Measure, budget: Budget) -> Fit:
    """Restore in ``best`` the groups of ``low``, which misses the budget, as long as the budget still holds."""
    dependencies = best.removal.dependencies
    more = np.setdiff1d(best.removal.classes, low.removal.classes)
    parts = []
    for group in dependencies.groups:
        part = np.intersect1d(group.classes, more)
        if len(part):
            usual = float(np.abs(totals[group.classes]).mean()) or 1.0  # scores of other layers have other units
            parts.append((float(totals[part].mean()) / usual, part))
    for _, part in sorted(parts, key=lambda scored: -scored[0]):
        removal = Removal(dependencies, np.setdiff1d(best.removal.classes, part))
        share = share_of(removal)
        if share <= budget.share:
            best = Fit(removal, best.ratio, share)
    return best


def _counted(resource: Resource) -> Measure:
    if resource == "latency":
        raise InputError("budget of latency", why="it must be measured", fix="give measure=")

    def count(removal: Removal) -> float:
        cost = cost_of(removal)
        return float({"macs": cost.macs, "params": cost.params, "bytes": cost.size_bytes}[resource])

    return count
