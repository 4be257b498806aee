"""What makes the result of a report unfit for use as it is: said before everything else, each with a remedy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .promise import is_exact, why_broken


def alerts(report: Mapping[str, Any]) -> list[str]:
    """A sentence for each broken promise of equal integers, and for each pruned artifact slower than the dense one."""
    return [*broken_promises(report), *_slower_than_dense(report)]


def broken_promises(report: Mapping[str, Any]) -> list[str]:
    """What report.json's ``parity`` breaks, with what to do; empty where all holds or nothing was compared."""
    if report.get("parity") is None:
        return []
    remedy = "keep the operator it names in float (--keep-float), and do not deploy this file"
    broken = why_broken(report["parity"], exact=is_exact(report))
    return [f"torch and onnxruntime differ: {sentence}; {remedy}" for sentence in broken]


def _slower_than_dense(report: Mapping[str, Any]) -> list[str]:
    pruning = report.get("pruning")
    if not pruning:
        return []
    found = []
    for name, ratio in pruning["speedup_vs_dense"].items():
        if ratio["q75"] < 1:
            found.append(
                f"{name} takes {1 / ratio['median']:.2f} times as long as the dense model; {_remedy_for_slow(pruning)}"
            )
    return found


def _remedy_for_slow(pruning: Mapping[str, Any]) -> str:
    if pruning["granularity"] != "channel":
        return "zeros among weights make no kernel faster: prune with --granularity channel"
    rounding = "keep channel counts that kernels like with --round-to auto, or " if pruning["round_to"] == 1 else ""
    return f"{rounding}ask for the time itself with --budget latency=0.8, or deploy the dense model"
