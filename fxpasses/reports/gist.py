"""A report in a few plain sentences: gains, losses and next steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .alerts import alerts, broken_promises
from .measure_text import Measure
from .numbers import Headline, accuracy_of, bytes_text, condition_text, headline, percent_text, three_digits

Report = Mapping[str, Any]

_RUNTIMES = {"torch": "PyTorch", "onnxruntime": "ONNX Runtime"}
_WORTH_TELLING = 0.05
"""Least distance of a ratio of times from 1 that is reported as faster or slower; less is noise."""
_SMALL_LOSS, _LARGE_LOSS = 0.5, 2.0
"""Losses of accuracy in percentage points: up to the first nothing need be done, from the second on something must."""
_POOR_AGREEMENT = 95.0
_SHORT_MS = 0.2
"""Milliseconds; a model that takes less time spends much of it on calls between operators."""


@dataclass(frozen=True)
class Gist:
    """Sentences on gains, losses and next steps."""

    gains: tuple[str, ...]
    losses: tuple[str, ...]
    next_steps: tuple[str, ...]


def gist_of(report: Report) -> Gist | None:
    """The gist of a report; None if only float was measured."""
    lead = headline(report["variants"])
    if lead is None:
        return None
    gains = (*_size(lead), *_faster(lead), *_same_integers(report))
    return Gist(gains, (*_accuracy(lead), *_slower(lead)), tuple(_next_steps(report, lead)))


def why_not_faster(report: Report) -> list[str]:
    """Reasons why int8 is hardly faster than float in onnxruntime, as sentences; empty if it is faster or untimed."""
    lead = headline(report["variants"])
    ratio = lead.speedups.get("onnxruntime") if lead is not None else None
    if lead is None or ratio is None or ratio > 1 + _WORTH_TELLING:
        return []
    audit, level = report.get("audit") or {}, (report.get("kernels") or {}).get("onnxruntime")
    heavy, light = len(audit.get("float_heavy", ())), len(audit.get("float_light", ()))
    found = []
    if heavy:
        found.append(f"{heavy} operator{'s' * (heavy > 1)} that multiply are computed in float: they are listed below.")
    if light:
        found.append(
            f"{light} light operator{'s' * (light > 1)} in float: integers are converted for each, and back behind it."
        )
    if level is not None and level.split()[0] in ("AVX2", "SSE"):
        found.append(f"This CPU multiplies bytes by {level}: without VNNI it does so at about the speed of floats.")
    entry = next(iter(lead.variant["latency"]), None)
    if entry is not None and entry["p50_ms"] < _SHORT_MS:
        whole = three_digits(entry["p50_ms"])
        found.append(f"The whole model takes {whole} ms: calls and conversions cost about as much as sums.")
    return found or ["Everything that multiplies is int8: what is left is memory, and operators that only move values."]


def _size(lead: Headline) -> list[str]:
    if lead.size_ratio is None or lead.reference is None or lead.size_ratio <= 1:
        return []
    before, after = bytes_text(lead.reference["size_bytes"]), bytes_text(lead.variant["size_bytes"])
    return [f"The file is {three_digits(lead.size_ratio)} times smaller: {after} instead of {before}."]


def _condition(lead: Headline) -> str:
    entry = next(iter(lead.variant["latency"]), None)
    return f" ({condition_text(entry)})" if entry else ""


def _faster(lead: Headline) -> list[str]:
    """A sentence for each runtime in which int8 is faster."""
    return [
        f"It is {three_digits(ratio)} times as fast as fp32 in {_RUNTIMES[runtime]}{_condition(lead)}."
        for runtime, ratio in lead.speedups.items()
        if ratio > 1 + _WORTH_TELLING
    ]


def _slower(lead: Headline) -> list[str]:
    found = []
    for runtime, ratio in lead.speedups.items():
        if ratio < 1 - _WORTH_TELLING:
            found.append(
                f"It takes {three_digits(1 / ratio)} times as long as fp32 in {_RUNTIMES[runtime]}{_condition(lead)}."
            )
        elif ratio <= 1 + _WORTH_TELLING:
            found.append(f"It is no faster than fp32 in {_RUNTIMES[runtime]}{_condition(lead)}.")
    return found


def _same_integers(report: Report) -> list[str]:
    parity = report["parity"]
    if parity is None or broken_promises(report) or parity["max_lsb_at_any_node"]:
        return []
    return ["PyTorch and ONNX Runtime compute the same integers, bit for bit."]


def _accuracy(lead: Headline) -> list[str]:
    measure, change = Measure.of([lead.variant]), lead.accuracy_change
    images = lead.variant["accuracy"]["images"]
    if change is None:
        agreement = lead.variant["vs_fp32"]["top1_agreement"]
        if agreement is None:
            return ["What it costs in accuracy was not measured."]
        return [f"It says another class than fp32 on {percent_text(100 - agreement)} of {images} inputs."]
    now = measure.text(accuracy_of(lead.variant))
    worse = change > 0 if measure.falls else change < 0
    if not worse:
        return [f"Nothing in {measure.name}: {now}, {measure.change_text(change)} against fp32, on {images} inputs."]
    return [f"{measure.name} becomes {now}: {measure.change_text(change)} against fp32, on {images} inputs."]


def _next_steps(report: Report, lead: Headline) -> list[str]:
    if wrong := alerts(report):
        return [f"Mend what is wrong first: {wrong[0]}."]
    if (report.get("model_details") or {}).get("pretrained") is False:
        command = "fxpasses quantize --weights FILE"
        return [f"Give trained weights ({command}): with random ones accuracy and agreement say nothing."]
    found = []
    measure, change = Measure.of([lead.variant]), lead.accuracy_change
    agreement = lead.variant["vs_fp32"]["top1_agreement"]
    loss = 0.0 if change is None else change if measure.falls else -change
    if report.get("data") is None:
        command = "fxpasses quantize --data DATA"
        found.append(f"Give data ({command}): without images the numbers above say nothing about your task.")
    elif measure.unit == "%" and loss >= _LARGE_LOSS:
        found.append("Find the layers that cost accuracy: fxpasses sensitivity.")
        found.append("Or let a search do it: fxpasses quantize --max-drop 1.")
    elif change is None and agreement is not None and agreement < _POOR_AGREEMENT:
        found.append("Give labels, so that accuracy is measured, and look at fxpasses sensitivity.")
    is_slow = any(ratio <= 1 + _WORTH_TELLING for ratio in lead.speedups.values())
    if is_slow:
        found.append("Read why int8 is not faster here: fxpasses audit FILE.")
        found.append("Try fxpasses quantize --placement measured.")
    if not lead.speedups:
        found.append("Measure how fast it is: fxpasses bench DIR.")
    if not is_slow and (not found or (measure.unit == "%" and change is not None and loss <= _SMALL_LOSS)):
        found.append(f"Deploy {report.get('deploy') or lead.variant.get('file') or lead.variant['name']}.")
    return found
