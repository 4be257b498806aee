"""The section of report.html on outputs: a row for each part, since one number hides small parts beside large ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..numbers import decibel_text
from .elements import Markup, element, row, section, table

_NOTE = (
    "Each part that a concatenation or a stack at the end joins, int8 against float: the SQNR of a whole output "
    "is decided by its largest values. A part below 10 dB, or of one value only, is a warning."
)


def outputs(report: Mapping[str, Any]) -> Markup | None:
    """Section with the SQNR of every part of every output; None if there is one part without a warning."""
    parts = report.get("outputs") or []
    if len(parts) < 2 and not any(p["warning"] for p in parts):
        return None
    rows = [
        row(f"{p['output']}{p['part']}", p["node"], decibel_text(p["sqnr_db"]), _verdict(p), left=(0, 1, 3))
        for p in parts
    ]
    return section(
        "Each output by itself",
        table(("output", "made by", "SQNR", ""), rows, left=(0, 1, 3)),
        element("p", _NOTE, cls="note"),
    )


def _verdict(part: Mapping[str, Any]) -> str:
    if part["became_constant"]:
        return "one value for every input"
    return "far from float" if part["warning"] else ""
