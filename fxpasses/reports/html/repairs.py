"""The section of report.html on the gain of each repair. None if it was not measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..wording import COLUMNS, repair_cells
from .elements import Markup, element, row, section, table


def repairs(report: Mapping[str, Any]) -> Markup | None:
    """Section with the gain of one repair after the other, added to plain rounding."""
    found = report.get("repairs")
    if not found:
        return None
    rows = [row(*cells, left=(0, 1)) for cells in repair_cells(found)]
    about = f"Each row adds a repair to those above it; logits of the last {found['images']} calibration images."
    return section("What each repair gained", element("p", about), table(COLUMNS, rows, left=(0, 1)))
