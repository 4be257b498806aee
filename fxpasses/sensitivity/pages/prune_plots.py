"""Plots of ``--method prune``, from its JSON: accuracy and size of each layer at one ratio, and a map of all ratios."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fxpasses.reports.measure_text import Measure

from .figures import Draw, Palette
from .prune_table import lost_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Layers = Sequence[Mapping[str, Any]]

_ROW, _MARGIN = 0.24, 1.0
_MUCH, _SOME = 10.0, 2.0
"""Points of accuracy lost from which a layer is drawn as bad, and as fair."""


def ratio_figure(document: Mapping[str, Any], ratio: float) -> tuple[Draw, float]:
    """Bars for each layer in the graph's order: accuracy when it alone is pruned by ``ratio``, parameters, MACs."""
    layers, whole, measure = document["layers"], document["fp32"], Measure.about(document.get("metric"))

    def draw(figure: Figure, palette: Palette) -> None:
        first, second, third = figure.subplots(1, 3, sharey=True, width_ratios=(4, 2, 2))
        scores = [_at(layer, ratio) for layer in layers]
        key = _measure_key(whole)
        rows = range(len(layers))
        colours = [_colour(score["drop"], palette) for score in scores]
        first.barh(rows, [score[key] for score in scores], color=colours, height=0.7)
        end = 100.0 if measure.unit == "%" else max(whole[key], *(score[key] for score in scores), 1e-9)
        for row, score in zip(rows, scores, strict=True):
            first.text(1.03 * end, row, _changed(score["drop"], measure), va="center", fontsize=7.5)
        first.axvline(whole[key], color=palette.ink, linewidth=1, linestyle=(0, (4, 3)))
        first.set_xlim(0, 1.15 * end)
        if measure.unit == "%":
            first.set_xticks(range(0, 101, 20))
        name = "agreement with the dense model" if key == "top1_agreement" else measure.name
        first.set_title(f"{name} with {100 * ratio:g} % of this layer pruned, dashed: dense")
        first.set_xlabel(", ".join(part for part in (measure.unit, measure.direction) if part))
        _shares(second, layers, "params", palette)
        _shares(third, layers, "macs", palette)
        first.set_yticks(rows, [layer["module"] for layer in layers], fontsize=8)
        first.set_ylim(len(layers) - 0.4, -0.6)
        for axes in (first, second, third):
            axes.tick_params(length=0)

    return draw, _ROW * len(layers) + _MARGIN


def _changed(drop: float, measure: Measure) -> str:
    """Change of accuracy as text: ``−1.8``; for another unit, the loss."""
    if measure.unit == "%":
        return f"{-drop:+.1f}".replace("-", "−")
    return lost_text(drop, measure)


def _measure_key(score: Mapping[str, Any]) -> str:
    """Key of a score's accuracy: the metric, top-1, or agreement."""
    if score.get("metric") is not None:
        return "metric"
    return "top1_agreement" if score["top1"] is None else "top1"


def map_figure(document: Mapping[str, Any]) -> tuple[Draw, float]:
    """Heat map: points of accuracy lost, layers by ratios."""
    layers, ratios = document["layers"], document["ratios"]
    drops = [[_at(layer, ratio)["drop"] for ratio in ratios] for layer in layers]
    measure = Measure.about(document.get("metric"))

    def draw(figure: Figure, palette: Palette) -> None:
        from matplotlib.colors import PowerNorm

        axes = figure.subplots()
        most = max(1.0 if measure.unit == "%" else 1e-9, max(max(row) for row in drops))
        mesh = axes.pcolormesh(
            [[max(drop, 0.0) for drop in row] for row in drops],
            cmap="YlOrRd",
            norm=PowerNorm(0.5, vmin=0.0, vmax=most),
            edgecolor=palette.surface,
            linewidth=0.8,
        )
        for y, row in enumerate(drops):
            for x, drop in enumerate(row):
                text = f"{drop:.1f}".replace("-", "−") if measure.unit == "%" else lost_text(drop, measure)
                colour = "#ffffff" if drop > 0.45 * most else "#3a2a10"
                axes.text(x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=7, color=colour)
        axes.grid(visible=False)
        axes.set_xticks([x + 0.5 for x in range(len(ratios))], [f"{100 * ratio:g} %" for ratio in ratios])
        axes.set_yticks([y + 0.5 for y in range(len(layers))], [layer["module"] for layer in layers], fontsize=8)
        axes.invert_yaxis()
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        lost = "points" if measure.unit == "%" else measure.name
        axes.set_title(f"{lost} lost when this layer alone is pruned by …")
        bar = figure.colorbar(mesh, ax=axes, shrink=0.6, pad=0.02)
        bar.outline.set_visible(False)

    return draw, _ROW * len(layers) + _MARGIN


def lead_ratio(document: Mapping[str, Any]) -> float:
    """The ratio of the bar plot: the largest scanned."""
    return float(document["ratios"][-1])


def _at(layer: Mapping[str, Any], ratio: float) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(score for score in layer["scores"] if math.isclose(score["ratio"], ratio))
    return found


def _shares(axes: Axes, layers: Layers, what: str, palette: Palette) -> None:
    values = [layer[f"{what}_percent"] for layer in layers]
    axes.barh(range(len(layers)), values, color=palette.muted, height=0.7)
    for row, layer in enumerate(layers):
        text = _short(layer[what])
        axes.annotate(text, (values[row], row), xytext=(3, 0), textcoords="offset points", va="center", fontsize=7.5)
    axes.set_xlim(0, max([*values, 1e-9]) * 1.35)
    axes.set_title("share of parameters" if what == "params" else "share of MACs")
    axes.set_xlabel("%")


def _short(count: int) -> str:
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= unit:
            return f"{count / unit:.3g} {letter}"
    return str(count)


def _colour(drop: float, palette: Palette) -> str:
    if drop >= _MUCH:
        return palette.bad
    return palette.fair if drop >= _SOME else palette.onnxruntime
