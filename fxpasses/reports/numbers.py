"""Numbers as text for people, the same in the terminal and in report.html; and the headline numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fxpasses.measure.runners import FLOAT_PRECISIONS

UNKNOWN = "–"
_UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
_HUNDRED = 100
_TEN = 10


def bytes_text(size: float | None) -> str:
    """Size as text: ``1.08 MB`` (10**6 bytes)."""
    return UNKNOWN if size is None else f"{count_text(size, ' ')}B"


def count_text(count: float | None, space: str = " ") -> str:
    """Count as text with three significant digits: ``269 k``."""
    if count is None:
        return UNKNOWN
    for unit, letter in _UNITS:
        if abs(count) >= unit:
            return f"{three_digits(count / unit)}{space}{letter}"
    return f"{count:.0f}{space}"


def three_digits(value: float | None) -> str:
    """Value with three significant digits, never in powers of ten: ``0.348``, ``2.61``, ``41.0``, ``160``."""
    if value is None:
        return UNKNOWN
    magnitude = abs(value)
    return f"{value:.{0 if magnitude >= _HUNDRED else 1 if magnitude >= _TEN else 2 if magnitude >= 1 else 3}f}"


def percent_text(value: float | None, digits: int = 1) -> str:
    """Percentage as text, ``99.2 %``; 100 only for exactly 100."""
    if value is None:
        return UNKNOWN
    rounded = f"{value:.{digits}f}"
    if float(rounded) >= _HUNDRED > value:
        rounded = f"{_HUNDRED - 10**-digits:.{digits}f}"
    return f"{rounded} %"


def decibel_text(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.1f} dB"


def ratio_text(value: float | None) -> str:
    """Ratio as text: ``3.71×``."""
    return UNKNOWN if value is None else f"{value:.2f}×"


def points_text(value: float | None) -> str:
    """Change in points as text: ``−0.3 points``."""
    if value is None:
        return UNKNOWN
    return f"{'±' if not round(value, 1) else '+' if value > 0 else '−'}{abs(value):.1f} points"


def per_second_text(value: float | None) -> str:
    return UNKNOWN if value is None else f"{count_text(value, ' ').strip()}/s"


def condition_text(entry: Mapping[str, Any]) -> str:
    """Condition of a latency as text: ``batch 1, 1 thread``."""
    return f"batch {entry['batch']}, {entry['threads']} thread{'' if entry['threads'] == 1 else 's'}"


@dataclass(frozen=True)
class Headline:
    """The numbers of the leading quantized variant, beside those of float32; None if unknown."""

    variant: Mapping[str, Any]
    reference: Mapping[str, Any] | None
    size_ratio: float | None
    accuracy_change: float | None
    """Change of accuracy in points of top-1, or in units of the metric that was asked for."""
    speedups: dict[str, float]
    """Speedups by runtime, at the first condition measured."""


def is_float(variant: Mapping[str, Any]) -> bool:
    return variant["precision"] in FLOAT_PRECISIONS


def headline(variants: Sequence[Mapping[str, Any]]) -> Headline | None:
    """Headline of the first onnxruntime variant that is not float32, else of any other; None if all are float32."""
    lowered = [v for v in variants if not is_float(v)]
    if not lowered:
        return None
    lead = next((v for v in lowered if v["runtime"] == "onnxruntime"), lowered[0])
    floats = [v for v in variants if is_float(v)]
    twin = next((v for v in floats if v["runtime"] == lead["runtime"]), floats[0] if floats else None)
    speedups = {
        v["runtime"]: v["latency"][0]["speedup_vs_fp32"]
        for v in reversed(lowered)
        if v["latency"] and v["latency"][0].get("speedup_vs_fp32") is not None
    }
    return Headline(
        variant=lead,
        reference=twin,
        size_ratio=_quotient(twin, lead),
        accuracy_change=_difference(twin, lead),
        speedups=dict(sorted(speedups.items())),
    )


def _quotient(twin: Mapping[str, Any] | None, lead: Mapping[str, Any]) -> float | None:
    if twin is None or not twin["size_bytes"] or not lead["size_bytes"]:
        return None
    return float(twin["size_bytes"] / lead["size_bytes"])


def _difference(twin: Mapping[str, Any] | None, lead: Mapping[str, Any]) -> float | None:
    if twin is None:
        return None
    before, after = accuracy_of(twin), accuracy_of(lead)
    return None if before is None or after is None else float(after - before)


def accuracy_of(variant: Mapping[str, Any]) -> float | None:
    """Accuracy by the metric that was asked for, else top-1; None if it was not measured."""
    found = variant["accuracy"].get("metric")
    value: float | None = variant["accuracy"]["top1"] if found is None else found["value"]
    return value


def parity_verdict(parity: Mapping[str, Any] | None) -> tuple[str, str]:
    """Verdict on the agreement of the int8 artifacts: (``"good"``, ``"fair"``, ``"bad"`` or
    ``"none"``; a few words).
    """
    if parity is None:
        return "none", "parity not checked"
    if not parity["max_lsb"] and not parity["max_lsb_at_any_node"]:
        return "good", "bit for bit the same integers"
    if parity["max_lsb_at_any_node"] <= 1 and parity["top1_agreement"] in (None, _HUNDRED):
        return "fair", f"within 1 LSB at every node, {parity['max_lsb']} at the logits"
    return "bad", f"differs by {parity['max_lsb_at_any_node']} LSB from {parity['first_divergence']} on"


def kernels_text(report: Mapping[str, Any]) -> str:
    """Level of int8 kernels of each runtime, and the CPU: ``torch VNNI, onnxruntime VNNI, on AMD EPYC``."""
    levels = report.get("kernels")
    if not levels:
        return ""
    named = ", ".join(f"{runtime} {level}" for runtime, level in levels.items())
    return f"{named}, on {report['environment']['cpu']}"
