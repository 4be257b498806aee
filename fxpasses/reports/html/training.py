"""The section of report.html on training: its learning curve as a table. None if there was no training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..numbers import percent_text
from .elements import Markup, element, row, section, table
from .training_plot import curve_plot

COLUMNS = ("epoch", "phase", "loss", "right in training")
_ABOUT = (
    "In the open phase ranges and BatchNorm statistics move; in the frozen one weights learn on the int8 graph itself. "
    "The loss is a mean over an epoch, or over the part of one that a phase had, of training images as they were fed."
)


def training(report: Mapping[str, Any]) -> Markup | None:
    """Section with the learning curve, in order."""
    found = report.get("training")
    if not found:
        return None
    shown = len(COLUMNS) - (found[0]["accuracy"] is None)
    rows = [row(*cells[:shown], left=(1,)) for cells in curve_cells(found)]
    svg = curve_plot(found)
    plot = None if svg is None else element("div", Markup(svg), cls="scroll")
    return section("Training", element("p", _ABOUT), plot, table(COLUMNS[:shown], rows, left=(1,)))


def curve_cells(found: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Rows of the table as text, with the columns :data:`COLUMNS`."""
    return [
        (f"{point['epoch']:.2f}", str(point["phase"]), f"{point['loss']:.4f}", percent_text(point["accuracy"]))
        for point in found
    ]
