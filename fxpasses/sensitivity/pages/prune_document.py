"""``sensitivity.json`` of ``--method prune``, from which table, plots and page are made.

fp32                        score of the model as it is
params, macs                of all prunable layers together
ratios                      scanned, ascending
layers                      one entry for each layer, in the graph's order:
    rank                    1 loses most: the largest mean drop over the ratios
    params, macs            with ``_percent`` of all
    scores                  one for each ratio, with ``drop``: points of top-1 (agreement without labels) lost
    holds_until             largest ratio scanned up to which no more than one point is lost; of a metric that is no
                            percentage, a hundredth of its value
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fxpasses.measure.metrics import Metric

from ..prune import LayerScan, PrunableLayer, PruneChoice
from ..scoring import Score

LITTLE = 1.0
"""Default budget of ``holds_until``, in points of accuracy."""


def prune_document(
    float_score: Score,
    scans: Sequence[LayerScan],
    choice: PruneChoice,
    all_layers: Sequence[PrunableLayer],
    metric: Metric | None = None,
) -> dict[str, Any]:
    """Result of a scan, ready for JSON; ``all_layers`` are the layers that can be pruned, for the shares."""
    little = LITTLE if metric is None or metric.unit == "%" else abs(float_score.quality) / 100
    params, macs = sum(layer.params for layer in all_layers), sum(layer.macs for layer in all_layers)
    drops = {scan.layer.path: scan.drops(float_score) for scan in scans}
    order = sorted(drops, key=lambda path: (-_mean(drops[path]), path))
    ranks = {path: rank for rank, path in enumerate(order, 1)}
    return {
        "method": "prune",
        "images": float_score.images,
        "fp32": float_score.to_json(),
        "granularity": choice.granularity,
        "criterion": choice.criterion,
        "ratios": sorted({ratio for scan in scans for ratio in scan.scores}),
        "params": params,
        "macs": macs,
        "layers": [
            {
                "rank": ranks[scan.layer.path],
                "module": scan.layer.path,
                "operator": scan.layer.operator,
                "params": scan.layer.params,
                "params_percent": 100.0 * scan.layer.params / params if params else 0.0,
                "macs": scan.layer.macs,
                "macs_percent": 100.0 * scan.layer.macs / macs if macs else 0.0,
                "scores": [
                    {"ratio": ratio, **score.to_json(), "drop": drops[scan.layer.path][ratio]}
                    for ratio, score in sorted(scan.scores.items())
                ],
                "holds_until": holds_until(drops[scan.layer.path], little),
            }
            for scan in scans
        ],
    }


def holds_until(drops: Mapping[float, float], budget: float = LITTLE) -> float:
    """The largest ratio such that it and all smaller ones lose at most ``budget`` points; 0 if there is none."""
    found = 0.0
    for ratio, drop in sorted(drops.items()):
        if drop > budget:
            break
        found = ratio
    return found


def _mean(drops: Mapping[float, float]) -> float:
    return sum(drops.values()) / len(drops) if drops else 0.0
