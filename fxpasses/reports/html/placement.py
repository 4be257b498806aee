"""The section of report.html on operators that were timed in float. None if there are none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..numbers import ratio_text
from .elements import Markup, element, row, section, table

COLUMNS = ("operator", "nodes", "speed in float", "stays in")
_ABOUT = (
    "Each kind of operator without weights was put back into float in turn, and the whole file timed in onnxruntime "
    "beside the one before it. It stays in float if the file is then clearly faster."
)


def placement(report: Mapping[str, Any]) -> Markup | None:
    """Section on the operators that were tried, in their order."""
    found = report.get("placement")
    if not found:
        return None
    rows = [row(*cells, left=(0, 3)) for cells in placement_cells(found)]
    return section("Which operators are int8", element("p", _ABOUT), table(COLUMNS, rows, left=(0, 3)))


def placement_cells(found: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Rows of the table as text, with the columns :data:`COLUMNS`."""
    return [
        (tried["operator"], str(tried["nodes"]), ratio_text(tried["speedup"]), "float" if tried["in_float"] else "int8")
        for tried in found
    ]
