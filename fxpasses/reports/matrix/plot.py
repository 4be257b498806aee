"""Ratios and their intervals at one setting, as inline SVG in the page's colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..html.plots import BAD, GOOD, INK, MUTED, PLOT_SETTINGS, themed_svg
from ..numbers import three_digits
from .cells import LEVELS, Document

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH, _ROW, _MARGIN = 9.2, 0.34, 0.8
_COLOURS = {"good": GOOD, "bad": BAD}


def ratio_plot(rows: Sequence[Document]) -> str | None:
    """Plot with a line for each row that has a ratio, on a logarithmic axis with 1 marked; None if no row has one."""
    measured = [row for row in rows if row["ratio"] is not None]
    if not measured:
        return None
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    with rc_context(PLOT_SETTINGS):
        size = (_WIDTH, _ROW * len(measured) + _MARGIN)
        figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(h_pad=0.06), facecolor="none")
        FigureCanvasSVG(figure)
        _draw(figure.add_subplot(facecolor="none"), measured)
        return themed_svg(figure)


def _draw(axes: Axes, rows: Sequence[Document]) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes.set_xscale("log")
    axes.axvline(1, color=INK, linewidth=1)
    for place, row in enumerate(rows):
        colour = _COLOURS.get(LEVELS.get(row["verdict"], ""), MUTED)
        low, high = row["interval"] or (row["ratio"], row["ratio"])
        axes.plot([low, high], [place, place], color=colour, linewidth=3, alpha=0.5, solid_capstyle="butt")
        axes.plot([row["ratio"]], [place], "o", color=colour, markersize=6)
        text, above = f"{three_digits(row['ratio'])}×", (0, 5)
        axes.annotate(text, (row["ratio"], place), xytext=above, textcoords="offset points", ha="center", fontsize=8)
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.7)
    axes.set_xlabel("times as fast as the baseline, with its interval; left of 1 is slower")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(length=0)
    axes.margins(x=0.08)
