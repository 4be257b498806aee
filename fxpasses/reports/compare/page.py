"""A comparison as one self-contained page: best values, trade-off, all variants, and differences of the runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fxpasses.export.files import write_text_atomic

from ..gist import gist_of
from ..html.elements import PAGE_RULES, SCRIPT, Markup, element, joined, row, section, table
from ..html.style import STYLE
from ..html.tradeoff_plot import points_of, tradeoff_plot
from ..measure_text import Measure
from ..numbers import is_float
from .rows import columns_of, condition_of, row_text
from .runs import Run, cautions, what_differs


def comparison_page(runs: Sequence[Run]) -> str:
    """The HTML page that compares runs."""
    title = f"{len(runs)} run{'s' if len(runs) > 1 else ''} compared"
    head = joined((PAGE_RULES, element("title", f"{title} – fxpasses"), element("style", Markup(STYLE))))
    models = ", ".join(dict.fromkeys(str(run.report["model"]) for run in runs))
    header = element("header", element("div", element("h1", title), element("p", models, cls="about")))
    parts = (_cautions(runs), _gists(runs), _tradeoff(runs), _variants(runs), _differing(runs))
    footer = element("footer", "fxpasses report · all numbers are in each run's report.json")
    body = element("main", header, *parts, footer)
    return f'<!DOCTYPE html>\n<html lang="en">{element("head", head)}{element("body", body, SCRIPT)}</html>\n'


def write_comparison(runs: Sequence[Run], path: Path) -> None:
    """Write the page; the file is complete or not there. Raises InputError if it cannot be written."""
    write_text_atomic(path, comparison_page(runs))


def _cautions(runs: Sequence[Run]) -> Markup | None:
    found = cautions(runs)
    return section("Read with care", element("ul", *(element("li", caution) for caution in found))) if found else None


def _gists(runs: Sequence[Run]) -> Markup | None:
    """Section with the gains, losses and next steps of each run, in the words of its report; None if there are none."""
    rows = []
    for run in runs:
        found = gist_of(run.report)
        if found is not None:
            told = (found.gains, found.losses, found.next_steps)
            rows.append(row(run.name, *(" ".join(lines) for lines in told), wrap=(1, 2, 3)))
    if not rows:
        return None
    return section("In plain words", table(("run", "you gain", "you lose", "do next"), rows, left=(0, 1, 2, 3)))


def _tradeoff(runs: Sequence[Run]) -> Markup | None:
    """Plot of accuracy over latency for all runs; None if their accuracy measures or their data differ."""
    measures = {Measure.of(run.report["variants"]) for run in runs}
    if len(measures) > 1 or len({run.report["data"] for run in runs}) > 1:
        return None
    points = [point for run in runs for point in points_of(run.report["variants"], f"{run.name}: ")]
    svg = tradeoff_plot(points, measures.pop())
    return None if svg is None else section("Accuracy, latency, size", element("div", Markup(svg), cls="scroll"))


def _variants(runs: Sequence[Run]) -> Markup:
    condition, best = condition_of(runs), _best(runs)
    rows = [
        row(*_marked(row_text(run, variant, condition), variant, best), left=(0, 1), cls=_kind(variant))
        for run in runs
        for variant in run.report["variants"]
    ]
    note = element("p", "Best of all files in bold. A click on a column's head sorts by it.", cls="note")
    return section("All variants", table(columns_of(runs), rows, left=(0, 1)), note)


def _kind(variant: Mapping[str, Any]) -> str:
    return "float32" if is_float(variant) else ""


def _best(runs: Sequence[Run]) -> Mapping[int, Any]:
    """The smallest size and the shortest time, by column."""
    variants = [v for run in runs for v in run.report["variants"]]
    condition = condition_of(runs)
    sizes = [v["size_bytes"] for v in variants if v["size_bytes"] is not None]
    found: dict[int, Any] = {2: min(sizes)} if sizes else {}
    times = [row_text(run, v, condition)[6] for run in runs for v in run.report["variants"]]
    numbers = [float(text) for text in times if text[:1].isdigit()]
    return found | ({6: min(numbers)} if numbers else {})


def _marked(cells: Sequence[str], variant: Mapping[str, Any], best: Mapping[int, Any]) -> list[str]:
    found: list[str] = list(cells)
    if best.get(2) == variant["size_bytes"]:
        found[2] = element("span", cells[2], cls="best")
    if 6 in best and cells[6][:1].isdigit() and float(cells[6]) == best[6]:
        found[6] = element("span", cells[6], cls="best")
    return found


def _differing(runs: Sequence[Run]) -> Markup | None:
    found = what_differs(runs)
    if not found:
        return None
    places = range(1, len(runs) + 1)
    rows = [row(name, *values, wrap=tuple(places)) for name, values in found]
    columns = ("", *(run.name for run in runs))
    return section("What differs", table(columns, rows, left=(0, *places)))
