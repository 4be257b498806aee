"""From scores to masks: chooses the entries to prune for a given ratio. Deterministic: of equal
scores, the first go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, fx

from ...errors import InputError
from ...graph.stages import Stage, check_stage
from .criteria import WITH_DATA, Granularity, check_criterion, scores_from_weights
from .data_criteria import ScoringData, scores_from_data
from .layers import layers_matching, unknown_layer
from .masks import Masks, check_masks
from .patterns import Block, NofM, block_scores, blocks_as_weights, n_of_m_mask, parse_pattern

Scope = Literal["layer", "global"]
Ratio = float | Mapping[str, float]


def make_masks(
    gm: fx.GraphModule,
    ratio: Ratio | None = None,
    *,
    layers: Sequence[str] | str | None = None,
    criterion: str = "l1",
    granularity: str = "weight",
    scope: Scope = "layer",
    data: ScoringData | None = None,
    seed: int = 0,
) -> Masks:
    """Make masks that prune a share of a graph's weights. The graph is not changed; see :func:`.masks.apply_masks`.

    Args:
        gm: a FLOAT graph.
        ratio: the share to prune, in [0, 1), rounded down to whole entries; or a share for each layer path. Not for
            N:M, which has its own.
        layers: patterns of paths or operators (``"layer1.*"``, ``"linear"``); without them, all prunable layers.
        criterion: one of :data:`.criteria.CRITERIA`.
        granularity: ``"weight"``, ``"channel"`` (masks of ``[C_out]``), ``"2:4"`` or ``"block:4x1"``.
        scope: ``"layer"``: the ratio holds in each layer; ``"global"``: over all of them, comparing scores across
            layers (those of channels in units of their layer's mean). Each layer keeps its best entry at least.
        data: batches for criteria that need data.
        seed: seed of the criterion ``"random"``.

    Raises:
        GraphError: the graph is in another stage.
        InputError: a ratio, name or pattern that is not valid, or data that is missing.
    """
    check_stage(gm, Stage.FLOAT, "make_masks")
    pattern = _granularity(granularity)
    kind: Granularity = "channel" if granularity == "channel" else "weight"
    check_criterion(criterion, kind, has_data=data is not None)
    _check_scope(scope, ratio)
    ratios = _ratios(gm, ratio, layers, pattern)
    chosen = {path: layer for path, layer in layers_matching(gm, layers).items() if path in ratios}
    if criterion in WITH_DATA:
        assert data is not None
        scores = scores_from_data(gm, chosen, criterion, kind, data)
    else:
        scores = scores_from_weights(gm, chosen, criterion, kind, seed)
    if isinstance(pattern, NofM):
        return Masks({path: n_of_m_mask(score, pattern) for path, score in scores.items()})
    if isinstance(pattern, Block):
        kept = select({path: block_scores(score, pattern) for path, score in scores.items()}, ratios, scope)
        masks = {path: blocks_as_weights(mask, pattern, scores[path].shape) for path, mask in kept.items()}
    else:
        if kind == "channel" and scope == "global":
            scores = {path: score / score.abs().mean().clamp(min=1e-30) for path, score in scores.items()}
        masks = select(scores, ratios, scope)
    check_masks(gm, masks)
    return Masks(masks)


def magnitude_masks(
    gm: fx.GraphModule,
    ratio: Ratio,
    *,
    layers: Sequence[str] | str | None = None,
    criterion: Literal["l1", "l2"] = "l1",
    granularity: str = "weight",
    scope: Scope = "layer",
) -> Masks:
    """Call :func:`make_masks` with a criterion of the weights' size (Han et al. 2015): the smallest are pruned."""
    return make_masks(gm, ratio, layers=layers, criterion=criterion, granularity=granularity, scope=scope)


def select(scores: Mapping[str, Tensor], ratios: Mapping[str, float], scope: Scope) -> dict[str, Tensor]:
    """Flags of the entries that are kept. With scope ``"global"`` all ratios are equal, and each layer keeps its best
    entry.
    """
    if scope == "layer":
        return {
            path: _keep_best(score, int(ratios[path] * score.numel() + _ROUNDING)) for path, score in scores.items()
        }
    protected = {path: _is_best(score) for path, score in scores.items()}
    flat = torch.cat([s.masked_fill(protected[path], torch.inf).flatten() for path, s in scores.items()])
    ratio = max(ratios.values(), default=0.0)
    prunable = int((flat < torch.inf).sum())
    kept = _keep_best(flat, min(int(ratio * flat.numel() + _ROUNDING), prunable))
    sizes = [score.numel() for score in scores.values()]
    return {
        path: part.reshape(score.shape) for (path, score), part in zip(scores.items(), kept.split(sizes), strict=True)
    }


_ROUNDING = 1e-9
"""Added before rounding down, so that 0.3 of 10 is 3, although 0.3 * 10 may be less in binary."""


def check_ratio(ratio: float, what: str = "ratio") -> None:
    """Raise InputError unless 0 <= ratio < 1."""
    if not 0 <= ratio < 1:
        raise InputError(
            f"{what} {ratio}",
            why="it is the share to prune, at least 0 and less than 1" + (": 1 would leave nothing" * (ratio == 1)),
            fix=f"did you mean {ratio / 100:g}?" if 1 < ratio < 100 else "use 0.5 or the like",
        )


def _keep_best(scores: Tensor, pruned: int) -> Tensor:
    kept = torch.ones(scores.numel(), dtype=torch.bool)
    kept[scores.flatten().argsort(stable=True)[:pruned]] = False
    return kept.reshape(scores.shape)


def _is_best(score: Tensor) -> Tensor:
    best = torch.zeros(score.numel(), dtype=torch.bool)
    best[score.argmax()] = True
    return best.reshape(score.shape)


def _granularity(text: str) -> NofM | Block | None:
    pattern = parse_pattern(text)
    if pattern is None and text not in ("weight", "channel"):
        raise InputError(
            f"granularity {text!r}",
            why="there is no such granularity",
            fix="use 'weight', 'channel', '2:4' or 'block:4x1'",
        )
    return pattern


def _check_scope(scope: str, ratio: Ratio | None) -> None:
    if scope not in ("layer", "global"):
        raise InputError(f"scope {scope!r}", why="there is no such scope", fix="use 'layer' or 'global'")
    if scope == "global" and isinstance(ratio, Mapping):
        raise InputError(
            "a ratio for each layer with scope 'global'", why="it says one for all together", fix="use scope='layer'"
        )


def _ratios(
    gm: fx.GraphModule, ratio: Ratio | None, layers: Sequence[str] | str | None, pattern: NofM | Block | None
) -> dict[str, float]:
    """Ratio of each layer that has one."""
    matching = layers_matching(gm, layers)
    if isinstance(pattern, NofM):
        share = 1 - pattern.n / pattern.m
        if ratio is not None and ratio != share:
            raise InputError(
                f"ratio {ratio} with {pattern.n}:{pattern.m}", why=f"the pattern prunes {share:g}", fix="leave it out"
            )
        return dict.fromkeys(matching, share)
    if ratio is None:
        raise InputError("no ratio", why="only N:M patterns have one of their own", fix="give ratio=0.5 or the like")
    ratios = dict(ratio) if isinstance(ratio, Mapping) else dict.fromkeys(matching, ratio)
    for path, value in ratios.items():
        if path not in matching:
            raise unknown_layer(path, matching)
        check_ratio(value, f"ratio of {path!r}:" if isinstance(ratio, Mapping) else "ratio")
    return ratios
