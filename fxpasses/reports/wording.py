"""Measurements in words, the same in the terminal and in report.html."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .numbers import UNKNOWN, decibel_text, percent_text

_ALL, _NEARLY_ALL = 100.0, 98.0
"""Percent of images of one class in both runtimes from which agreement is good, and from which it is fair."""
COLUMNS = ("repair", "", "SQNR", "gain", "agrees with fp32")


def repair_cells(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Rows of the table of repairs as text, with the columns :data:`COLUMNS`."""
    return [
        (
            step["repair"],
            step["setting"],
            decibel_text(step["sqnr_db"]),
            gain_text(step["gain_db"]),
            percent_text(step["top1_agreement"]),
        )
        for step in found["steps"]
    ]


def gain_text(decibel: float | None) -> str:
    """Gain as text: ``+1.2 dB``."""
    if decibel is None:
        return UNKNOWN
    sign = "±" if not round(decibel, 1) else "+" if decibel > 0 else "−"
    return f"{sign}{abs(decibel):.1f} dB"


def agreement_text(found: Mapping[str, Any]) -> tuple[str, str]:
    """Verdict on the agreement of runtimes: (``"good"``, ``"fair"`` or ``"bad"``; a few words)."""
    share = found["top1_agreement"]
    apart = "equal logits" if found["sqnr_db"] is None else f"logits {decibel_text(found['sqnr_db'])} apart"
    if share is None:
        return "fair", apart
    level = "good" if share == _ALL else "fair" if share >= _NEARLY_ALL else "bad"
    return level, f"the same class on {percent_text(share)} of {found['images']} images, {apart}"
