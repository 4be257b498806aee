"""Accuracy over latency as inline SVG, a dot for each variant, its area the size of the file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..measure_text import Measure
from ..numbers import accuracy_of, bytes_text, is_float, three_digits
from .plots import COLOUR_OF, INK, MUTED, PLOT_SETTINGS, SURFACE, themed_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIZE = (9.2, 3.4)
_LARGEST_AREA, _LEAST_AREA = 420.0, 30.0
"""Square points: of the largest file, and of one too small to be seen."""


@dataclass(frozen=True)
class Point:
    """One variant that was judged and timed."""

    name: str
    runtime: str
    latency_ms: float
    accuracy: float
    size_bytes: int | None
    is_float: bool


def points_of(variants: Sequence[Mapping[str, Any]], prefix: str = "") -> list[Point]:
    """The variants of which both are known, at the first condition measured; without labels, by agreement."""
    found = []
    judged = any(accuracy_of(v) is not None for v in variants)
    for v in variants:
        value = accuracy_of(v) if judged else v["vs_fp32"]["top1_agreement"]
        if value is not None and v["latency"]:
            name, p50 = f"{prefix}{v['name']}", v["latency"][0]["p50_ms"]
            found.append(Point(name, v["runtime"], p50, value, v["size_bytes"], is_float(v)))
    return found


def tradeoff_plot(points: Sequence[Point], measure: Measure) -> str | None:
    """The plot; None for fewer than two points, between which there is nothing to trade."""
    if len(points) < 2:
        return None
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    with rc_context({**PLOT_SETTINGS, "axes.grid.axis": "both", "ytick.labelcolor": MUTED}):
        figure = Figure(figsize=_SIZE, layout=ConstrainedLayoutEngine(w_pad=0.1), facecolor="none")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot(1, 1, 1, facecolor="none")
        _draw(axes, points)
        axes.set_xlabel("ms, median")
        axes.set_title(", ".join(part for part in (measure.name, measure.unit, measure.direction) if part))
        axes.tick_params(length=0)
        return themed_svg(figure)


def _draw(axes: Axes, points: Sequence[Point]) -> None:
    largest = max((p.size_bytes or 0 for p in points), default=0) or 1
    ordered = sorted(points, key=lambda p: p.accuracy, reverse=True)
    for i, point in enumerate(ordered):
        colour = COLOUR_OF[point.runtime]
        area = max(_LARGEST_AREA * (point.size_bytes or 0) / largest, _LEAST_AREA)
        face = SURFACE if point.is_float else colour
        axes.scatter([point.latency_ms], [point.accuracy], s=area, color=face, edgecolors=colour, linewidths=1.5)
        label = f"{point.name}: {three_digits(point.latency_ms)} ms, {bytes_text(point.size_bytes)}"
        shift = (math.sqrt(area / math.pi) + 4, -3 if i % 2 else 3)  # of two that lie beside each other
        axes.annotate(
            label,
            (point.latency_ms, point.accuracy),
            shift,
            textcoords="offset points",
            va="top" if i % 2 else "bottom",
            fontsize=8,
            color=INK,
        )
    slowest = max(p.latency_ms for p in points)
    axes.set_xlim(0, slowest * 1.45)
    low, high = min(p.accuracy for p in points), max(p.accuracy for p in points)
    room = max((high - low) * 0.35, abs(high) * 0.01, 1e-6)
    axes.set_ylim(low - room, high + room)
