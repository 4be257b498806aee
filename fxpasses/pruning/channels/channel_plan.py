"""Chooses the channels to remove: those with the lowest scores, by a ratio, with counts that suit the kernels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from ...errors import InputError
from ..dependencies.atoms import Atoms
from ..dependencies.groups import ChannelGroup, Dependencies
from ..dependencies.labels import Dim
from ..masks.layers import layers_matching
from ..masks.selection import Scope, check_ratio

Flags = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Removal:
    """The classes of channels to remove from a graph, with the graph's dependencies."""

    dependencies: Dependencies
    classes: Atoms

    def none(self) -> Removal:
        """Return the removal of nothing from the same graph."""
        return Removal(self.dependencies, self.classes[:0])

    def keeps(self, dim: Atoms) -> Flags:
        """Return a flag for each index of a dimension: whether it stays."""
        return ~np.isin(self.dependencies.classes.roots(dim), self.classes)

    def kept_size(self, dim: Dim, size: int) -> int:
        """Size of a dimension after the removal."""
        return size if dim is None else int(self.keeps(dim).sum())

    def channels(self) -> dict[str, Flags]:
        """Flags of each layer that loses output channels: True for the channels that stay."""
        kept = {path: self.keeps(atoms) for path, atoms in self.dependencies.labelling.made.items()}
        return {path: flags for path, flags in kept.items() if not flags.all()}


def choose_channels(
    dependencies: Dependencies,
    ratio: float,
    scores: Mapping[str, Tensor],
    *,
    layers: Sequence[str] | str | None = None,
    scope: Scope = "layer",
    round_to: int = 1,
    keep_joined: bool = False,
    comparable: bool = False,
) -> Removal:
    """Choose the channels with the lowest scores.

    The score of a class is the sum over all output channels in it.

    Args:
        dependencies: dependencies of the graph to shrink.
        ratio: the share of channels to remove, in [0, 1): of each group, or with scope ``"global"`` of all together.
        scores: ``[C_out]`` for each layer path, high = keep, as :func:`.scoring.channel_scores` makes them.
        layers: only groups with all of their layers matched by these patterns (depthwise convolutions need no match).
        scope: ``"layer"`` or ``"global"``.
        round_to: a layer keeps a multiple of this number of channels, or all; the multiple nearest to the ratio.
        keep_joined: keep channels that several layers make together, as those of residual streams. All later layers
            read them, so removing them costs most accuracy.
        comparable: with scope ``"global"``: compare scores across layers as they are (as for Taylor's); else divide
            them by the mean of their group.

    Raises:
        InputError: a ratio or pattern that is not valid, or no group is left that can lose a channel.
    """
    check_ratio(ratio)
    if round_to < 1:
        raise InputError(f"round_to {round_to}", why="channel counts are multiples of 1 at least", fix="use 8 or 16")
    groups = groups_of(dependencies, layers, keep_joined=keep_joined)
    totals = class_scores(dependencies, scores)
    by_group = [totals[group.classes] for group in groups]
    if scope == "layer":
        shares = [ratio] * len(groups)
    else:
        shares = _global_shares(groups, by_group if comparable else [_normalised(s) for s in by_group], ratio)
    dropped = [
        group.classes[np.argsort(score, kind="stable")[: len(group.classes) - kept_count(group, share, round_to)]]
        for group, score, share in zip(groups, by_group, shares, strict=True)
    ]
    return Removal(dependencies, np.sort(np.concatenate(dropped)))


_MASKS = "prune single weights: `granularity=weight`, in Python pruning.make_masks(graph, ratio)"


def groups_of(
    dependencies: Dependencies, layers: Sequence[str] | str | None, *, keep_joined: bool = False
) -> list[ChannelGroup]:
    """Groups with all of their layers chosen; with ``keep_joined``, only groups that one layer makes alone.

    Raises:
        InputError: there is none; the error says why the first chosen layer has none.
    """
    gm = dependencies.gm
    chosen = layers_matching(gm, layers)
    free = {path for path in dependencies.made if _is_depthwise(gm.get_submodule(path))}
    groups = list(dependencies.groups)
    if layers is not None:
        groups = [group for group in groups if set(group.layers) - free <= chosen.keys()]
    if keep_joined:
        groups = [group for group in groups if len(set(group.layers) - free) < 2]
    if groups:
        return groups
    tied = [group for group in dependencies.groups if set(group.layers) & chosen.keys()]
    if tied:
        rest = [path for path in tied[0].layers if path not in chosen] or tied[0].layers[1:]
        why = f"its channels go together with those of {', '.join(rest)}"
        fix = "let joined channels go, too" if keep_joined else "choose those too"
    else:
        reasons = [f"{path}: {dependencies.frozen[path]}" for path in chosen if path in dependencies.frozen]
        why = reasons[0] if reasons else "its outputs are not channels"
        fix = "choose other layers" if dependencies.groups else _MASKS
    raise InputError(f"no channels of {next(iter(chosen))!r} can be removed", why=why, fix=fix)


def kept_count(group: ChannelGroup, share: float, round_to: int) -> int:
    """Number of classes of a group that stay."""
    count = len(group.classes)
    kept = count - int(share * count + 1e-9)
    if round_to == 1:
        return kept
    step = round_to // math.gcd(round_to, group.multiplicity)
    return min(count, max(step, round(kept / step) * step))


def _global_shares(groups: Sequence[ChannelGroup], scores: Sequence[Scores], ratio: float) -> list[float]:
    """Share of each group that is among the lowest scores of all, counted in channels; each group keeps one class."""
    weights = np.concatenate([np.full(len(g.classes), g.multiplicity * len(g.layers)) for g in groups])
    flat, best = np.concatenate(scores), np.cumsum([0, *(len(s) for s in scores)])[:-1]
    flat = flat.copy()
    flat[best + [int(np.argmax(s)) for s in scores]] = np.inf
    order = np.argsort(flat, kind="stable")
    order = order[: int(np.searchsorted(np.cumsum(weights[order]), ratio * weights.sum() + 1e-9, side="right"))]
    gone = np.zeros(len(flat), bool)
    gone[order[np.isfinite(flat[order])]] = True
    return [float(part.mean()) for part in np.split(gone, best[1:])]


def _normalised(scores: Scores) -> Scores:
    mean = float(np.abs(scores).mean())
    return scores / mean if mean > 0 else scores


def class_scores(dependencies: Dependencies, scores: Mapping[str, Tensor]) -> Scores:
    """Scores of the classes of channels: each is the sum over all output channels in the class."""
    totals = np.zeros(dependencies.classes.count)
    for path, roots in dependencies.made.items():
        if path in scores:
            np.add.at(totals, roots, scores[path].detach().double().cpu().numpy())
    return totals


def _is_depthwise(layer: nn.Module) -> bool:
    groups = getattr(layer, "groups", 1)
    return isinstance(groups, int) and groups > 1
