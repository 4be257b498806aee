"""Draws figures: as SVG in the colours of a page's theme, or as PNG on white."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any

from fxpasses.reports.html import plots as html_plots
from fxpasses.reports.html.elements import Markup

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 9.2
"""Width of all figures, in inches."""
_DPI = 144


@dataclass(frozen=True)
class Palette:
    """Colours by their role."""

    ink: str
    muted: str
    line: str
    surface: str
    torch: str
    onnxruntime: str
    good: str
    fair: str
    bad: str


THEMED = Palette(
    html_plots.INK,
    html_plots.MUTED,
    html_plots.LINE,
    html_plots.SURFACE,
    html_plots.COLOUR_OF["torch"],
    html_plots.COLOUR_OF["onnxruntime"],
    html_plots.GOOD,
    html_plots.FAIR,
    html_plots.BAD,
)
"""Placeholders that :func:`as_svg` replaces by the page's CSS variables."""
PRINTED = Palette("#1b1f27", "#5d6674", "#dfe3e8", "#ffffff", "#c8501f", "#1f64ad", "#17784a", "#8f6400", "#b3261e")
"""Colours of the page's light theme."""

Draw = Callable[["Figure", Palette], None]


def as_svg(draw: Draw, height: float) -> Markup:
    """Draw the figure as an ``<svg>`` element for a page."""
    with _style(THEMED):
        return Markup(html_plots.themed_svg(_figure(draw, height, THEMED)))


def as_png(draw: Draw, height: float) -> bytes:
    """Draw the figure as a PNG on white."""
    written = io.BytesIO()
    with _style(PRINTED):
        _figure(draw, height, PRINTED).savefig(written, format="png", dpi=_DPI, metadata={"Software": None})
    return written.getvalue()


def _figure(draw: Draw, height: float, palette: Palette) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    with _style(palette):
        colour = "none" if palette is THEMED else palette.surface
        figure = Figure(figsize=(WIDTH, height), layout=ConstrainedLayoutEngine(hspace=0.06), facecolor=colour)
        (FigureCanvasSVG if palette is THEMED else FigureCanvasAgg)(figure)
        draw(figure, palette)
        for axes in figure.axes:
            axes.set_facecolor("none")
        return figure


def _style(palette: Palette) -> Any:
    from matplotlib import rc_context

    real = dict(zip(astuple(THEMED), astuple(palette), strict=True))
    return rc_context({key: real.get(value, value) for key, value in html_plots.PLOT_SETTINGS.items()})
