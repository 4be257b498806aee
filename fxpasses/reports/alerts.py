"""Alerts: problems that make a result unfit for use as it is. They come before everything else, each with a remedy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fxpasses.agreement.promise import is_exact, why_broken

from .measure_text import Measure
from .numbers import accuracy_of

LARGEST_LOSS = 5.0
"""Points of top-1, or of another metric in percent, that pruning may cost without an alert."""


def alerts(report: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each broken promise of equal integers, and for pruning that cost accuracy or time."""
    return [*broken_promises(report), *_lost_accuracy(report), *_slower_than_dense(report)]


def broken_promises(report: Mapping[str, Any]) -> list[str]:
    """Sentences on promises that report.json's ``parity`` breaks, with remedies; empty if all hold or nothing was
    compared.
    """
    if report.get("parity") is None:
        return []
    remedy = "keep the operator it names in float (fxpasses quantize --keep-float NAME), and do not deploy this file"
    broken = why_broken(report["parity"], exact=is_exact(report))
    return [f"torch and onnxruntime differ: {sentence}; {remedy}" for sentence in broken]


def _lost_accuracy(report: Mapping[str, Any]) -> list[str]:
    """Alert for pruning that cost too much accuracy."""
    measure = Measure.of(report["variants"])
    if not report.get("pruning") or measure.unit != "%":
        return []
    found = {v["name"]: accuracy_of(v) for v in report["variants"] if v["precision"] == "fp32"}
    dense = next((value for name, value in found.items() if name.startswith("dense ")), None)
    pruned = next((value for name, value in found.items() if not name.startswith("dense ")), None)
    if dense is None or pruned is None or (pruned - dense if measure.falls else dense - pruned) < LARGEST_LOSS:
        return []
    tuned = "longer" if report["pruning"].get("fine_tuning") else "it"
    return [
        f"pruning cost {abs(dense - pruned):.1f} points of {measure.name}: train {tuned} with "
        "fxpasses prune --fine-tune 5, or prune less; fxpasses prune --keep-joined --scope global costs less, and "
        "fxpasses prune --max-drop 1 finds the largest ratio that costs one point"
    ]


def _slower_than_dense(report: Mapping[str, Any]) -> list[str]:
    pruning = report.get("pruning")
    if not pruning:
        return []
    found = []
    for name, ratio in (pruning.get("speedup_vs_dense") or {}).items():
        if ratio["median"] > 0 and ratio["q75"] < 1:
            found.append(
                f"{name} takes {1 / ratio['median']:.2f} times as long as the dense model; {_remedy_for_slow(pruning)}"
            )
    return found


def _remedy_for_slow(pruning: Mapping[str, Any]) -> str:
    if pruning["granularity"] != "channel":
        return "zeros among weights make no kernel faster: use fxpasses prune --granularity channel"
    command = "fxpasses prune --round-to auto"
    is_single = pruning.get("round_to", 1) == 1
    rounding = f"keep channel counts that suit the kernels with {command}, or " if is_single else ""
    return f"{rounding}ask for the time itself with fxpasses prune --budget latency=0.8, or deploy the dense model"
