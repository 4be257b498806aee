"""Plot of the trials of an accuracy-aware search: accuracy against latency, both measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .figures import Draw, Palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HEIGHT = 4.2
_LEFT: Any = {"textcoords": "offset points", "ha": "left", "fontsize": 8}
_NEAR: Any = {"textcoords": "offset points", "ha": "right", "fontsize": 8}


def pareto_figure(document: Mapping[str, Any]) -> tuple[Draw, float]:
    """Figure of every trial with a latency; a line joins those on the frontier. Float32 and the budget are marked."""
    timed = [trial for trial in document["trials"] if trial["latency_ms"] is not None]

    def draw(figure: Figure, palette: Palette) -> None:
        axes = figure.subplots()
        axes.grid(axis="both", visible=True)
        falls = bool(document["fp32"].get("falls"))
        least = _quality(document["fp32"]) + (document["max_drop"] if falls else -document["max_drop"])
        axes.axhline(least, color=palette.bad, linewidth=1, linestyle=(0, (4, 3)))
        unit = document.get("unit", "%")
        lost = {"%": "points"}.get(unit, unit or document["measured"])
        words = f"{document['max_drop']:g} {lost} {'above' if falls else 'below'} float32"
        axes.annotate(
            words, (1, least), xycoords=("axes fraction", "data"), xytext=(-4, -11), color=palette.bad, **_NEAR
        )
        if timed:
            _points(axes, document, timed, palette)
        axes.set_xlabel("latency in onnxruntime, ms (batch 1, 1 thread)")
        axes.set_ylabel(f"{document['measured']}, {unit}" if unit else document["measured"])
        if falls:
            axes.invert_yaxis()  # the better is above, whatever is measured
        axes.tick_params(length=0)
        axes.margins(0.12)

    return draw, _HEIGHT


def _points(axes: Axes, document: Mapping[str, Any], timed: Sequence[Mapping[str, Any]], palette: Palette) -> None:
    fp32_ms, fp32 = timed[0]["latency_ms"] * timed[0]["speedup_vs_fp32"], _quality(document["fp32"])
    axes.plot([fp32_ms], [fp32], "s", color=palette.muted, markersize=7)
    axes.annotate("float32", (fp32_ms, fp32), xytext=(0, 8), ha="center", textcoords="offset points", fontsize=8.5)
    sign = -1 if document["fp32"].get("falls") else 1
    points = [(fp32_ms / trial["speedup_vs_fp32"], fp32 - sign * trial["drop"]) for trial in timed]
    frontier = [(x, sign * y) for x, y in pareto_frontier([(x, sign * y) for x, y in [*points, (fp32_ms, fp32)]])]
    axes.annotate(
        "hollow: loses too much", (0, 1), xycoords="axes fraction", xytext=(4, -12), color=palette.muted, **_LEFT
    )
    axes.plot([x for x, _ in frontier], [y for _, y in frontier], color=palette.line, linewidth=2, zorder=1)
    for trial, point in sorted(zip(timed, points, strict=True), key=lambda pair: bool(pair[0]["chosen"])):
        colour = palette.good if trial["chosen"] else palette.onnxruntime
        face = colour if trial["holds"] else palette.surface
        axes.plot(*point, "o", color=colour, markerfacecolor=face, markersize=11 if trial["chosen"] else 6)
        if trial["chosen"]:
            layers = f"{len(trial['in_float'])} layers in float" if trial["in_float"] else "all int8"
            words = f"{trial['observer']}, {layers}"
            axes.annotate(words, point, xytext=(10, 6), textcoords="offset points", fontsize=8.5)


def _quality(score: Mapping[str, Any]) -> float:
    if score.get("metric") is not None:
        return float(score["metric"])
    return float(score["top1_agreement"] if score["top1"] is None else score["top1"])


def pareto_frontier(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points that no other point beats in both coordinates; less is better in the first, more in the second."""
    found: list[tuple[float, float]] = []
    for x, y in sorted(set(points), key=lambda point: (point[0], -point[1])):
        if not found or y > found[-1][1]:
            found.append((x, y))
    return found
