"""``sensitivity.html`` of ``--method prune``: one file without external resources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fxpasses.reports.html.elements import Markup, element, facts, folded, joined, row, section, table
from fxpasses.reports.measure_text import Measure
from fxpasses.reports.numbers import count_text, percent_text

from .figures import as_svg
from .pages import page
from .prune_plots import lead_ratio, map_figure, ratio_figure
from .prune_table import budget_lines, lost_text, ratio_text
from .quant_table import reference_text


def prune_page(document: Mapping[str, Any]) -> str:
    """Build the page of a result."""
    ratio, ratios = lead_ratio(document), document["ratios"]
    ranked = sorted(document["layers"], key=lambda layer: int(layer["rank"]))
    measure = Measure.about(document.get("metric"))
    entries = [
        ("dense", reference_text(document["fp32"], measure)),
        ("pruned", f"{document['granularity']}s by {document['criterion']}, one layer at a time, nothing retrained"),
        (
            "prunable",
            f"{count_text(document['params']).strip()} parameters, {count_text(document['macs']).strip()} MACs",
        ),
    ]
    columns = ("layer", "", "parameters", "%", "MACs", "%", "holds until", *(f"−{100 * r:g} %" for r in ratios))
    sections = [
        section("The whole", facts(entries)),
        section(f"Each layer, {100 * ratio:g} % pruned", as_svg(*ratio_figure(document, ratio))),
        *([section("All ratios", as_svg(*map_figure(document)))] if len(ratios) > 1 else []),
        section(
            "Every layer",
            table(columns, [_row(layer, measure) for layer in ranked], left=(0, 1)),
            element("p", _LEGEND, cls="note"),
        ),
    ]
    if document.get("within_budget"):
        sections.insert(1, _budget(document))
    return page(document, "What pruning costs, layer by layer", joined(sections))


def _budget(document: Mapping[str, Any]) -> Markup:
    """The largest ratios: of operators, of the net, and of each layer alone."""
    found, measure = document["within_budget"], Measure.about(document.get("metric"))
    unit = "points" if measure.unit == "%" else measure.unit or measure.title
    rows = [
        row(
            layer["module"], ratio_text(alone["ratio"]), lost_text(alone["drop"], measure), ratio_text(ratio), left=(0,)
        )
        for layer in document["layers"]
        for alone, ratio in [(found["layers"][layer["module"]], found["net"]["ratios"][layer["module"]])]
    ]
    return section(
        f"How much may go for {found['max_drop']:g} {unit}",
        element("ul", *(element("li", line.strip()) for line in budget_lines(document, measure)[1:])),
        folded("every layer", table(("layer", "alone", f"{unit} lost", "with all others, in the net"), rows)),
    )


_LEGEND = (
    "Points, or units of the metric, lost when this layer alone is pruned by that much. holds until: the largest ratio "
    "scanned up to which no more than one point is lost; of a metric that is no percentage, a hundredth of it."
)


def _row(layer: Mapping[str, Any], measure: Measure) -> Markup:
    return row(
        layer["module"],
        layer["operator"],
        count_text(layer["params"]),
        percent_text(layer["params_percent"]).split(" ")[0],
        count_text(layer["macs"]),
        percent_text(layer["macs_percent"]).split(" ")[0],
        f"{100 * layer['holds_until']:g} %" if layer["holds_until"] else "–",
        *(lost_text(score["drop"], measure) for score in layer["scores"]),
        left=(0, 1),
    )
