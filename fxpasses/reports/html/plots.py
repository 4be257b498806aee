"""The plots of report.html: inline SVG by matplotlib, in colours that follow the page's light or dark theme.

Plots are drawn in placeholder colours; in the finished SVG each is replaced by the page's CSS variable for its role.
Text stays text, in the page's font.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..measure_text import Measure
from ..numbers import accuracy_of, bytes_text, condition_text, is_float, percent_text, three_digits

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

_ROLES = {"#010101": "--ink", "#020202": "--muted", "#030303": "--line", "#040404": "--surface"}
_RUNTIMES = {"#050505": "--torch", "#060606": "--onnxruntime"}
_VERDICTS = {"#070707": "--good", "#080808": "--fair", "#090909": "--bad"}
INK, MUTED, LINE, SURFACE = _ROLES
GOOD, FAIR, BAD = _VERDICTS
COLOUR_OF = dict(zip(("torch", "onnxruntime"), _RUNTIMES, strict=True))

_WIDTH, _ROW, _MARGIN = 9.2, 0.36, 0.72
_MOST_CONDITIONS = 6
_MOST_TICKS = 5
"""Largest number of intervals of an axis half as wide as the page: labels have up to seven characters."""
LEAST_ROOM = 0.5
"""Least space beside values in percent, in points: equal values are not spread over billionths of a point."""
PLOT_SETTINGS: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a dollar sign in a name does not start a formula
    "svg.hashsalt": "fxpasses",
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": LINE,
    "xtick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.color": LINE,
    "ytick.labelcolor": INK,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "axes.grid": True,
    "axes.grid.axis": "x",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.formatter.useoffset": False,  # numbers in full, not as differences from one in the corner
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titlecolor": MUTED,
}

Variants = Sequence[Mapping[str, Any]]
Draw = Callable[["Axes", Variants], None]


def latency_plot(variants: Variants) -> str | None:
    """Plot of median latency with whiskers to p90 and p99; a panel for each batch size and thread count. None without
    any.
    """
    measured = [v for v in variants if v["latency"]]
    conditions = list(dict.fromkeys(condition_text(e) for v in measured for e in v["latency"]))[:_MOST_CONDITIONS]
    if not conditions:
        return None

    def panel(condition: str) -> Draw:
        return lambda axes, rows: _latency_panel(axes, rows, condition)

    return _draw([panel(condition) for condition in conditions], measured, columns=min(2, len(conditions)))


def size_plot(variants: Variants) -> str | None:
    """Plot of the size of every variant and its accuracy, or its agreement with float32 if there are no labels."""
    panels = [
        panel
        for panel, known in (
            (_size_panel, any(v["size_bytes"] for v in variants)),
            (_accuracy_panel, any(accuracy_of(v) is not None for v in variants)),
            (_agreement_panel, all(accuracy_of(v) is None for v in variants) and _any_agreement(variants)),
        )
        if known
    ]
    return _draw(panels, variants, columns=2) if panels else None


def _any_agreement(variants: Variants) -> bool:
    return any(v["vs_fp32"]["top1_agreement"] is not None and not is_float(v) for v in variants)


def _latency_panel(axes: Axes, variants: Variants, condition: str) -> None:
    axes.set_title(condition)
    axes.set_xlabel("ms")
    longest = 0.0
    for row, variant in enumerate(variants):
        entry = next((e for e in variant["latency"] if condition_text(e) == condition), None)
        if entry is None:
            continue
        colour = COLOUR_OF[variant["runtime"]]
        p50, p90, p99 = (entry[f"{p}_ms"] for p in ("p50", "p90", "p99"))
        axes.plot([p50, p99], [row, row], color=colour, linewidth=1, solid_capstyle="butt")
        axes.plot([p50, p90], [row, row], color=colour, linewidth=4, alpha=0.45, solid_capstyle="butt")
        _dot(axes, p50, row, variant)
        axes.annotate(three_digits(p50), (p50, row), xytext=(0, 6), textcoords="offset points", ha="center", fontsize=8)
        longest = max(longest, p99)
    axes.set_xlim(-0.03 * longest, longest * 1.05)


def _size_panel(axes: Axes, variants: Variants) -> None:
    axes.set_title("size")
    sizes = [(v["size_bytes"] or 0) / 1e6 for v in variants]
    for row, (variant, size) in enumerate(zip(variants, sizes, strict=True)):
        colour = COLOUR_OF[variant["runtime"]]
        axes.barh(row, size, height=0.5, color=SURFACE if is_float(variant) else colour, edgecolor=colour, linewidth=1)
        label = bytes_text(variant["size_bytes"])
        axes.annotate(label, (size, row), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_xlim(0, max(sizes) * 1.25)
    axes.set_xlabel("MB")


def _accuracy_panel(axes: Axes, variants: Variants) -> None:
    measure = Measure.of(variants)
    if measure != Measure():
        _metric_panel(axes, variants, measure)
        return
    axes.set_title("top-1 accuracy")
    axes.set_xlabel("% of images, with the standard error of the sample")
    _percent_panel(axes, variants, lambda v: (v["accuracy"]["top1"], v["accuracy"]["images"]))


def _metric_panel(axes: Axes, variants: Variants, measure: Measure) -> None:
    """Panel of a metric with any unit and direction; there is no formula for the standard error of such metrics."""
    axes.set_title(measure.name)
    axes.set_xlabel(", ".join(part for part in (measure.unit, measure.direction) if part))
    values = [value for v in variants if (value := accuracy_of(v)) is not None]
    for row, variant in enumerate(variants):
        value = accuracy_of(variant)
        if value is None:
            continue
        _dot(axes, value, row, variant)
        text = measure.text(value)
        axes.annotate(text, (value, row), xytext=(0, 6), textcoords="offset points", ha="center", fontsize=8)
    least = LEAST_ROOM if measure.unit == "%" else 1e-6
    room = max((max(values) - min(values)) * 0.5, 0.01 * abs(max(values)), least)
    axes.set_xlim(min(values) - room, max(values) + room)


def _agreement_panel(axes: Axes, variants: Variants) -> None:
    axes.set_title("agreement with fp32")
    axes.set_xlabel("% of images, with the standard error of the sample")
    _percent_panel(axes, variants, lambda v: (v["vs_fp32"]["top1_agreement"], v["accuracy"]["images"]))


def _percent_panel(axes: Axes, variants: Variants, of: Callable[[Mapping[str, Any]], tuple[float | None, int]]) -> None:
    low, high = 100.0, 0.0
    for row, variant in enumerate(variants):
        value, images = of(variant)
        if value is None:
            continue
        error = math.sqrt(value * (100 - value) / images) if images else 0.0
        axes.plot([value - error, value + error], [row, row], color=COLOUR_OF[variant["runtime"]], linewidth=1)
        _dot(axes, value, row, variant)
        label = percent_text(value)
        axes.annotate(label, (value, row), xytext=(0, 6), textcoords="offset points", ha="center", fontsize=8)
        low, high = min(low, value - error), max(high, value + error)
    room = max((high - low) * 0.5, LEAST_ROOM)
    axes.set_xlim(max(low - room, -room / 2), min(high + room, 100 + room / 2))


def _dot(axes: Axes, x: float, row: int, variant: Mapping[str, Any]) -> None:
    """Draw a dot: hollow for float32, filled for the others."""
    colour = COLOUR_OF[variant["runtime"]]
    axes.plot(
        [x], [row], "o", markersize=7, color=colour, markerfacecolor=SURFACE if is_float(variant) else colour, zorder=3
    )


def _draw(panels: Sequence[Draw], variants: Variants, columns: int) -> str:
    """Draw all panels over the same rows, one for each variant, the first on top."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    lines = math.ceil(len(panels) / columns)
    with rc_context(PLOT_SETTINGS):
        height = lines * (_ROW * len(variants) + _MARGIN)
        figure = Figure(
            figsize=(_WIDTH, height), layout=ConstrainedLayoutEngine(hspace=0.06, h_pad=0.06), facecolor="none"
        )
        FigureCanvasSVG(figure)
        for i, panel in enumerate(panels):
            axes = figure.add_subplot(lines, columns, i + 1, facecolor="none")
            panel(axes, variants)
            names = [v["name"] for v in variants] if i % columns == 0 else [""] * len(variants)
            axes.set_yticks(range(len(variants)), names)
            axes.tick_params(length=0)
            axes.set_ylim(len(variants) - 0.5, -0.7)
            few_ticks(axes.xaxis)
        return themed_svg(figure)


def few_ticks(axis: Axis) -> None:
    """Label so few numbers that they do not overlap: matplotlib takes them for three characters wide."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(_MOST_TICKS))


def themed_svg(figure: Figure) -> str:
    """Return the figure as an ``<svg>`` element: no prolog, unique ids, theme colours, the page's font."""
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = written.getvalue()
    svg = re.sub(r"<(metadata|style).*?</\1>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    for colour, role in {**_ROLES, **_RUNTIMES, **_VERDICTS}.items():
        svg = svg.replace(colour, f"var({role})")
    svg = re.sub(r"font(-family)?: ([\d.]+px)?[^;\"]*;", lambda m: f"font-size: {m[2]};" if m[2] else "", svg)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # the remaining ids are hashes of their content, the same in every figure
    box = re.search(r'viewBox="[^"]*"', svg)
    assert box is not None
    return re.sub(r"<svg [^>]*>", f'<svg {box[0]} role="img">', svg, count=1)
