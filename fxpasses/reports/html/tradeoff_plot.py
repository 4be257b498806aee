"""Accuracy over latency as inline SVG, a dot for each variant, its area the size of the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..measure_text import Measure
from ..numbers import accuracy_of, bytes_text, is_float, three_digits
from .plots import COLOUR_OF, INK, LEAST_ROOM, MUTED, PLOT_SETTINGS, SURFACE, few_ticks, themed_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIZE = (9.2, 3.4)
_LINE = 0.22
"""Height of a name's line in inches."""
_NEAR = 0.04
"""Share of an axis; two points that are closer share a label (twice this share on the accuracy axis)."""
_LARGEST_AREA, _LEAST_AREA = 420.0, 30.0
"""Areas of dots in square points: the dot of the largest file, and the smallest dot that is drawn."""


@dataclass(frozen=True)
class Point:
    """One variant with its accuracy and latency."""

    name: str
    runtime: str
    latency_ms: float
    accuracy: float
    size_bytes: int | None
    is_float: bool


def points_of(variants: Sequence[Mapping[str, Any]], prefix: str = "") -> list[Point]:
    """Points of the variants with accuracy (without labels, agreement) and latency at the first measured condition."""
    found = []
    measured = any(accuracy_of(v) is not None for v in variants)
    for v in variants:
        value = accuracy_of(v) if measured else v["vs_fp32"]["top1_agreement"]
        if value is not None and v["latency"]:
            name, p50 = f"{prefix}{v['name']}", v["latency"][0]["p50_ms"]
            found.append(Point(name, v["runtime"], p50, value, v["size_bytes"], is_float(v)))
    return found


def tradeoff_plot(points: Sequence[Point], measure: Measure) -> str | None:
    """The plot as SVG; None for fewer than two points, which show no trade-off."""
    if len(points) < 2:
        return None
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    with rc_context({**PLOT_SETTINGS, "axes.grid.axis": "both", "ytick.labelcolor": MUTED}):
        height = max(_SIZE[1], _LINE * len(points))
        figure = Figure(figsize=(_SIZE[0], height), layout=ConstrainedLayoutEngine(w_pad=0.1), facecolor="none")
        FigureCanvasSVG(figure)
        grid = figure.add_gridspec(1, 2, width_ratios=(1.5, 1))
        axes = figure.add_subplot(grid[0], facecolor="none")
        _names(figure.add_subplot(grid[1], facecolor="none"), points)
        _draw(axes, points, percent=measure.unit == "%")
        axes.set_xlabel("ms, median")
        axes.set_title(", ".join(part for part in (measure.name, measure.unit, measure.direction) if part))
        axes.tick_params(length=0)
        return themed_svg(figure)


def _draw(axes: Axes, points: Sequence[Point], *, percent: bool) -> None:
    slowest = max(p.latency_ms for p in points)
    low, high = min(p.accuracy for p in points), max(p.accuracy for p in points)
    room = max((high - low) * 0.25, abs(high) * 0.005, LEAST_ROOM if percent else 1e-6)
    least, most = low - room, high + room
    if percent:
        least, most = max(least, -room / 2), min(most, 100 + room / 2)
    axes.set_xlim(0, slowest * 1.1)
    axes.set_ylim(least, most)
    few_ticks(axes.yaxis)
    largest = max((p.size_bytes or 0 for p in points), default=0) or 1
    for point in points:
        colour = COLOUR_OF[point.runtime]
        area = max(_LARGEST_AREA * (point.size_bytes or 0) / largest, _LEAST_AREA)
        face = SURFACE if point.is_float else colour
        axes.scatter([point.latency_ms], [point.accuracy], s=area, color=face, edgecolors=colour, linewidths=1.5)
    for numbers, x, y in _places(points, slowest * 1.1, most - least):
        text = ", ".join(map(str, numbers))
        axes.annotate(text, (x, y), (0, 13), textcoords="offset points", ha="center", fontsize=9, color=INK)


def _places(points: Sequence[Point], width: float, height: float) -> list[tuple[list[int], float, float]]:
    """Groups of points that overlap: the numbers of the points, and the position of their label."""
    found: list[tuple[list[int], float, float]] = []
    for number, point in enumerate(points, 1):
        for numbers, x, y in found:
            if abs(x - point.latency_ms) < _NEAR * width and abs(y - point.accuracy) < 2 * _NEAR * height:
                numbers.append(number)
                break
        else:
            found.append(([number], point.latency_ms, point.accuracy))
    return found


def _names(axes: Axes, points: Sequence[Point]) -> None:
    """Write the legend: each number with its point's name, time and size, one below the other."""
    axes.set_axis_off()
    for number, point in enumerate(points, 1):
        text = f"{number}  {point.name}: {three_digits(point.latency_ms)} ms, {bytes_text(point.size_bytes)}"
        axes.text(0, 1 - (number - 0.5) / len(points), text, va="center", fontsize=8.5, color=INK)
