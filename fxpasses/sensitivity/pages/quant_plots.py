"""Plots of ``--method quant``, from its JSON: noise by layer, noise along the graph, and histograms of outputs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .figures import Draw, Palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Layers = Sequence[Mapping[str, Any]]

ROW, MARGIN = 0.2, 0.9
"""Height in inches of one layer's row, and of the space above and below all rows."""
COLUMNS = 4
_HISTOGRAM_HEIGHT = 1.35
_MUCH_NOISE, _SOME_NOISE = 10.0, 3.0
"""Percent of all noise from which a layer is drawn as bad, and as fair."""


def label_of(layer: Mapping[str, Any]) -> str:
    """Name of a layer for the user: its path, or the name of its node."""
    return str(layer["module"] or layer["node"])


def noise_figure(layers: Layers, whole_db: float | None) -> tuple[Draw, float]:
    """Bars for each layer, in the graph's order: SQNR of the logits when it alone is int8, and its share of noise."""

    def draw(figure: Figure, palette: Palette) -> None:
        first, second = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
        colours = [_colour(layer["alone"]["noise_percent"], palette) for layer in layers]
        rows = range(len(layers))
        values = [layer["alone"]["sqnr_db"] for layer in layers]
        known = [v for v in values if v is not None] or [0.0]
        first.barh(rows, [v or 0.0 for v in values], color=colours, height=0.7)
        start = max(0.0, math.floor((min([*known, whole_db or min(known)]) - 5) / 10) * 10)
        first.set_xlim(start, max(known) + 2)
        first.set_title("SQNR of the logits when it alone is int8 (shorter is worse)")
        first.set_xlabel("dB")
        if whole_db is not None:
            first.axvline(whole_db, color=palette.ink, linewidth=1, linestyle=(0, (4, 3)))
            first.annotate(
                "all int8", (whole_db, -0.8), xytext=(3, 0), textcoords="offset points", fontsize=8, va="center"
            )
        second.barh(rows, [layer["alone"]["noise_percent"] for layer in layers], color=colours, height=0.7)
        second.set_title("its share of the noise of all layers")
        second.set_xlabel("%")
        first.set_yticks(rows, [label_of(layer) for layer in layers], fontsize=8)
        first.set_ylim(len(layers) - 0.4, -1.4)
        for axes in (first, second):
            axes.tick_params(length=0)

    return draw, ROW * (len(layers) + 1) + MARGIN


def growth_figure(layers: Layers) -> tuple[Draw, float]:
    """SQNR along the graph: of each layer by itself, and in the int8 graph with the noise of all layers before it."""

    def draw(figure: Figure, palette: Palette) -> None:
        axes = figure.subplots()
        axes.grid(axis="y", visible=True)
        axes.grid(axis="x", visible=False)
        own = [layer["alone"]["at_node_sqnr_db"] for layer in layers]
        axes.plot(range(len(layers)), _holes(own), "o", color=palette.muted, markersize=4, label="by itself")
        styles = {"torch": ("-", 4.0, 0.35), "onnxruntime": ("-", 1.4, 1.0)}
        for runtime in {r: None for layer in layers for r in layer["in_place"]}:
            line, width, alpha = styles.get(runtime, ("-", 1.4, 1.0))
            values = [layer["in_place"].get(runtime, {}).get("sqnr_db") for layer in layers]
            colour = getattr(palette, runtime, palette.ink)
            axes.plot(
                range(len(layers)),
                _holes(values),
                line,
                color=colour,
                linewidth=width,
                alpha=alpha,
                label=f"in place, {runtime}",
            )
        axes.set_ylabel("SQNR of its output, dB")
        step = max(1, math.ceil(len(layers) / 40))
        places = range(0, len(layers), step)
        axes.set_xticks(places, [label_of(layers[i]) for i in places], rotation=90, fontsize=7)
        axes.set_xlim(-0.7, len(layers) - 0.3)
        axes.tick_params(length=0)
        axes.legend(frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, 1), fontsize=8.5, borderaxespad=0)

    return draw, 3.6


def histogram_figure(layers: Layers) -> tuple[Draw, float]:
    """Histograms of each layer's output, float (filled) and int8 (line), logarithmic; the range of int8 is marked."""
    shown = [layer for layer in layers if layer["histogram"]]
    lines = max(1, math.ceil(len(shown) / COLUMNS))

    def draw(figure: Figure, palette: Palette) -> None:
        for number, layer in enumerate(shown):
            _histogram(figure.add_subplot(lines, COLUMNS, number + 1), layer, palette)

    return draw, _HISTOGRAM_HEIGHT * lines + 0.2


def _histogram(axes: Axes, layer: Mapping[str, Any], palette: Palette) -> None:
    found, grid, ends = layer["histogram"], layer["grid"], layer["range"]
    edges, colour = found["edges"], _colour(layer["alone"]["noise_percent"], palette)
    axes.stairs(found["float"], edges, fill=True, color=palette.line)
    axes.stairs(found["int8"], edges, color=colour, linewidth=1)
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.6)
    axes.set_yticks([])
    axes.minorticks_off()
    for end in (grid["low"], grid["high"]):
        axes.axvline(end, color=palette.muted, linewidth=0.7, linestyle=(0, (2, 2)))
    low, high = ends["low"], ends["high"]
    if low is not None and high is not None and low < high:
        margin = 0.03 * (max(high, grid["high"]) - min(low, grid["low"]))
        axes.set_xlim(max(min(low, grid["low"]), edges[0]) - margin, min(max(high, grid["high"]), edges[-1]) + margin)
    axes.locator_params(axis="x", nbins=4)
    axes.tick_params(length=0, labelsize=7)
    axes.set_title(f"{layer['rank']}. {_shortened(label_of(layer))}", fontsize=8)


def _shortened(label: str, longest: int = 27) -> str:
    return label if len(label) <= longest else "…" + label[-longest + 1 :]


def _colour(noise_percent: float, palette: Palette) -> str:
    if noise_percent >= _MUCH_NOISE:
        return palette.bad
    return palette.fair if noise_percent >= _SOME_NOISE else palette.onnxruntime


def _holes(values: Sequence[float | None]) -> list[float]:
    return [math.nan if value is None else value for value in values]
