"""The learning curve as inline SVG: loss and training accuracy over epochs, with hollow dots in the frozen phase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .plots import GOOD, INK, MUTED, PLOT_SETTINGS, SURFACE, themed_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curve = Sequence[Mapping[str, Any]]
_SIZE = (9.2, 2.4)


def curve_plot(curve: Curve) -> str | None:
    """Plot with a panel of losses and one of right answers, if they were counted.

    None for a curve of fewer than two points, for which the table is enough.
    """
    if len(curve) < 2:
        return None
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    with rc_context({**PLOT_SETTINGS, "axes.grid.axis": "y", "ytick.labelcolor": MUTED}):
        figure = Figure(figsize=_SIZE, layout=ConstrainedLayoutEngine(w_pad=0.1), facecolor="none")
        FigureCanvasSVG(figure)
        panels = [("loss", "loss"), ("accuracy", "right in training, %")][: 1 if curve[0]["accuracy"] is None else 2]
        for place, (key, title) in enumerate(panels):
            _panel(figure.add_subplot(1, 2, place + 1, facecolor="none"), curve, key, title)
        return themed_svg(figure)


def _panel(axes: Axes, curve: Curve, key: str, title: str) -> None:
    epochs, values = [p["epoch"] for p in curve], [p[key] for p in curve]
    axes.plot(epochs, values, color=MUTED, linewidth=1.0)
    filled = [GOOD if p["phase"] == "open" else SURFACE for p in curve]
    axes.scatter(epochs, values, color=filled, edgecolors=GOOD, zorder=3, s=22)
    last = f"{values[-1]:.3g}"
    axes.annotate(last, (epochs[-1], values[-1]), (4, 4), textcoords="offset points", color=INK)
    axes.set_title(title)
    axes.set_xlabel("epoch")
    axes.tick_params(length=0)
    axes.margins(x=0.08, y=0.15)
