"""The choices of an accuracy-aware search: points lost against latency, both measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .figures import Draw, Palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HEIGHT = 4.2


def pareto_figure(document: Mapping[str, Any]) -> tuple[Draw, float]:
    """Every choice with a latency, those on the frontier joined; float32 and the budget for comparison."""
    timed = [trial for trial in document["trials"] if trial["latency_ms"] is not None]

    def draw(figure: Figure, palette: Palette) -> None:
        axes = figure.subplots()
        axes.grid(axis="both", visible=True)
        axes.axhline(document["max_drop"], color=palette.bad, linewidth=1, linestyle=(0, (4, 3)))
        axes.annotate(
            f"budget: {document['max_drop']:g}",
            (1.0, document["max_drop"]),
            xycoords=("axes fraction", "data"),
            xytext=(-4, 4),
            textcoords="offset points",
            ha="right",
            fontsize=8,
            color=palette.bad,
        )
        if timed:
            _points(axes, timed, palette)
        axes.set_xlabel("latency in onnxruntime, ms (batch 1, 1 thread)")
        axes.set_ylabel(f"points of {document['measured']} lost")
        axes.tick_params(length=0)
        axes.margins(0.12)

    return draw, _HEIGHT


def _points(axes: Axes, timed: Sequence[Mapping[str, Any]], palette: Palette) -> None:
    fp32_ms = timed[0]["latency_ms"] * timed[0]["speedup_vs_fp32"]
    axes.plot([fp32_ms], [0], "s", color=palette.muted, markersize=7)
    axes.annotate("float32", (fp32_ms, 0), xytext=(-7, 0), textcoords="offset points", ha="right", va="center")
    points = [(fp32_ms / trial["speedup_vs_fp32"], trial["drop"]) for trial in timed]
    frontier = pareto_frontier([*points, (fp32_ms, 0.0)])
    axes.plot([x for x, _ in frontier], [y for _, y in frontier], color=palette.line, linewidth=2, zorder=1)
    for trial, (ms, drop) in zip(timed, points, strict=True):
        colour = palette.good if trial["chosen"] else palette.onnxruntime
        face = colour if trial["holds"] else palette.surface
        axes.plot([ms], [drop], "o", color=colour, markerfacecolor=face, markersize=11 if trial["chosen"] else 6)
        if trial["chosen"]:
            axes.annotate(f"chosen: {trial['what']}", (ms, drop), xytext=(10, 8), textcoords="offset points")


def pareto_frontier(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Those that no other beats in both coordinates, by the first one; smaller is better."""
    found: list[tuple[float, float]] = []
    for x, y in sorted(set(points)):
        if not found or y < found[-1][1]:
            found.append((x, y))
    return found
