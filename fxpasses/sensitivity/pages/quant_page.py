"""``sensitivity.html`` of ``--method quant``: one file without external resources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fxpasses.reports.html.elements import Markup, element, facts, joined, row, section, table
from fxpasses.reports.html.outputs import outputs
from fxpasses.reports.measure_text import Measure
from fxpasses.reports.numbers import decibel_text, percent_text, three_digits

from .figures import as_svg
from .pages import page
from .quant_plots import growth_figure, histogram_figure, label_of, noise_figure
from .quant_table import bare, clipped_text, gain_text, range_text, reference_text, score_text

MOST_HISTOGRAMS = 60


def _columns(measure: Measure) -> tuple[str, ...]:
    return (
        *("layer", "noise %", "alone", "at node", "kept float", "agrees %", measure.name),
        *("weights", "range", "int8 holds", "clipped", "in place"),
    )


def quant_page(document: Mapping[str, Any]) -> str:
    """Build the page of a result."""
    layers, whole = document["layers"], next(iter(document["int8"].values()))
    measure = Measure.about(document.get("metric"))
    entries = [("float32", reference_text(document["fp32"], measure))]
    entries += [
        (f"int8, {runtime}", f"{score_text(score, measure)}, SQNR {decibel_text(score['sqnr_db'])}")
        for runtime, score in document["int8"].items()
    ]
    noise, growth = as_svg(*noise_figure(layers, whole["sqnr_db"])), as_svg(*growth_figure(layers))
    ranked = sorted(layers, key=lambda layer: int(layer["rank"]))
    sections = [
        section("The whole", facts(entries)),
        outputs(document),
        section("Which layers make the noise", element("p", _lead(ranked)), noise),
        section("How noise grows", growth, element("p", _GROWTH, cls="note")),
        section(
            "Every layer",
            table(_columns(measure), [_row(layer, measure) for layer in ranked]),
            element("p", _LEGEND, cls="note"),
        ),
        section(
            "Values before and after",
            element("p", _HISTOGRAMS, cls="note"),
            as_svg(*histogram_figure(ranked[:MOST_HISTOGRAMS])),
        ),
    ]
    return page(document, "What int8 costs, layer by layer", joined(sections))


_GROWTH = (
    "Dots: noise that the layer itself adds, its inputs being float. Lines: its output in the int8 graph, with the "
    "noise of all layers before it. Both runtimes lie on one line where they compute the same integers."
)
_LEGEND = (
    "noise: share of what all layers, each int8 alone, bring to the logits. alone, agrees, top-1 or the "
    "metric: the model in which only this layer is int8; alone is the SQNR of the logits, at node that of "
    "the layer's own output. kept float: "
    "gain of the logits when only this layer is float. weights: SQNR of its weights. in place: its output in the int8 "
    "graph. All of these are in dB; top-1 in points, a metric in its own unit. A layer without a "
    "range gives floats: its output is not rounded."
)
_HISTOGRAMS = (
    "Outputs on the comparison images, logarithmic: float filled, int8 as a line, in bins of four integers each. "
    "Dashed: the ends of what int8 holds; values beyond are clipped to them. The most sensitive layers come first."
)


def _lead(ranked: list[Mapping[str, Any]]) -> Markup:
    few, taken = [], 0.0
    for layer in ranked:
        few.append(label_of(layer))
        taken += layer["alone"]["noise_percent"]
        if taken >= 50 or len(few) == 5:
            break
    verb = "makes" if len(few) == 1 else "make"
    return joined(
        (f"{len(few)} of {len(ranked)} layers {verb} {percent_text(taken)} of the noise: ", f"{', '.join(few)}.")
    )


def _row(layer: Mapping[str, Any], measure: Measure) -> Markup:
    alone, weight, grid = layer["alone"], layer["weight"], layer["grid"]
    places = layer["in_place"].values()
    return row(
        label_of(layer),
        bare(percent_text(alone["noise_percent"])),
        bare(decibel_text(alone["sqnr_db"])),
        bare(decibel_text(alone["at_node_sqnr_db"])),
        bare(gain_text(layer["kept_float"]["gain_db"])),
        bare(percent_text(alone["top1_agreement"])),
        bare(measure.change_text(alone["accuracy_change"])),
        bare(decibel_text(weight["sqnr_db"])) if weight else "",
        range_text(layer),
        "–" if grid is None else f"{three_digits(grid['low'])} … {three_digits(grid['high'])}".replace("-", "−"),
        clipped_text(layer),
        " / ".join(dict.fromkeys(bare(decibel_text(place["sqnr_db"])) for place in places)),
    )
