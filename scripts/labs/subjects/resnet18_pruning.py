"""Sections of the ResNet-18 lab on pruning: each layer alone, then as much as two points allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lab_report import Row

from fxpasses.sensitivity import PruneChoice, Scorer, largest_ratio, prune_targets, score_pruned
from subjects.cifar_subject import CifarSubject

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RATIO = 0.9
MAX_DROP = 2.0
KINDS = {"linear": "all linear layers", "conv2d": "all convolutions"}


def each_layer_pruned(lab: CifarSubject) -> None:
    """2. Each layer alone, 90 % of its weights pruned

    The smallest weights of one layer at a time become zero (L1, unstructured, nothing retrained).
    """
    scorer = Scorer(lab.captured, lab.batches)
    whole = scorer.float_score.quality
    layers = prune_targets(lab.captured)
    top1 = {
        layer.path: score_pruned(lab.captured, scorer, {layer.path: RATIO}, PruneChoice()).quality for layer in layers
    }
    rows: list[Row] = [
        [layer.path, layer.operator, layer.params, top1[layer.path], whole - top1[layer.path]] for layer in layers
    ]
    lab.report.table("layers pruned alone", ("layer", "kind", "parameters", "top-1 %", "points lost"), rows)
    lab.report.plot("layers_pruned_alone", lambda axes: _bars(axes, top1, whole))
    where = "layers_pruned_alone.png"
    for number, layer in enumerate(layers, 1):
        what = f"{layer.path} ({layer.operator}): parameters"
        lab.report.answer(f"2.{number}a", what, layer.params, "", "layers pruned alone")
        what = f"{layer.path}: accuracy with 90 % of it pruned"
        lab.report.answer(f"2.{number}b", what, top1[layer.path], "%", where)
    worst = min(top1, key=lambda path: top1[path])
    lab.report.answer("2.0a", "layers with weights", len(layers), "", "layers pruned alone")
    lab.report.answer("2.0b", f"the most sensitive layer, {worst}: points lost", whole - top1[worst], "points", where)


def _bars(axes: Axes, heights: Mapping[str, float], whole: float) -> None:
    names = list(heights)
    axes.bar(range(len(names)), list(heights.values()))
    axes.axhline(whole, linestyle="--", linewidth=1, color="black")
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=6)
    axes.set(ylabel="top-1 %", title="90 % of one layer's weights pruned; dashed: nothing pruned")


def largest_percentage(lab: CifarSubject) -> None:
    """3. The largest percentage within two points

    Binary search for the largest whole percentage of pruned weights that costs at most two points, in all linear layers
    (this net has one) and in all convolutions.
    """
    scorer = Scorer(lab.captured, lab.batches)
    rows: list[Row] = []
    for number, (operator, what) in enumerate(KINDS.items(), 1):
        paths = [layer.path for layer in prune_targets(lab.captured) if layer.operator == operator]
        percent, drop, tried = whole_percentage(lab, scorer, paths)
        kept, where = scorer.float_score.quality - drop, "largest percentages"
        lab.report.answer(f"3.{number}a", f"{what}: how many there are", len(paths), "", where)
        lab.report.answer(f"3.{number}b", f"{what}: largest percentage within {MAX_DROP:g} points", percent, "%", where)
        lab.report.answer(f"3.{number}c", f"{what}: accuracy at it", kept, "%", where)
        rows += [[what, f"{ratio:.0%}", lost, "yes" if lost <= MAX_DROP else "no"] for ratio, lost in tried.items()]
    lab.report.table("largest percentages", ("pruned", "percentage", "points lost", "within"), rows)


def whole_percentage(
    lab: CifarSubject, scorer: Scorer, paths: Sequence[str]
) -> tuple[int, float, Mapping[float, float]]:
    """Largest whole percentage of these layers, all pruned by it, the points lost, and all percentages tried."""
    tried: dict[float, float] = {0.0: 0.0}

    def drop_at(ratio: float) -> float:
        percent = int(100 * ratio + 1e-6) / 100
        if percent not in tried:
            score = score_pruned(lab.captured, scorer, dict.fromkeys(paths, percent), PruneChoice())
            tried[percent] = scorer.float_score.quality - score.quality
        return tried[percent]

    found = largest_ratio(drop_at, MAX_DROP, noise=scorer.standard_error)
    percent = int(100 * found.ratio + 1e-6)
    return percent, tried[percent / 100], dict(sorted(tried.items()))
