"""The section of report.html on what each repair gained. None where that was not measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .html_elements import Markup, element, row, section, table
from .report_numbers import UNKNOWN, decibel_text, percent_text

COLUMNS = ("repair", "", "SQNR", "gain", "agrees with fp32")


def repairs(report: Mapping[str, Any]) -> Markup | None:
    """From plain rounding on, one repair after the other."""
    found = report.get("repairs")
    if not found:
        return None
    rows = [row(*cells, left=(0, 1)) for cells in repair_cells(found)]
    about = f"Each row adds a repair to those above it; logits of the last {found['images']} calibration images."
    return section("What each repair gained", element("p", about), table(COLUMNS, rows, left=(0, 1)))


def repair_cells(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The rows, in the order of :data:`COLUMNS`, as text."""
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
    """``+1.2 dB``."""
    if decibel is None:
        return UNKNOWN
    sign = "±" if not round(decibel, 1) else "+" if decibel > 0 else "−"
    return f"{sign}{abs(decibel):.1f} dB"
