"""The matrix as a separate page in the style of report.html; it loads no other files and runs no scripts."""

from __future__ import annotations

from ..html.elements import PAGE_RULES, Markup, element, facts, joined, row, section, table
from ..html.made import environment, reproduce
from ..html.style import STYLE
from .cells import COLUMNS, LEVELS, Document, cells, columns, lead, places, remarks, warnings_of
from .plot import ratio_plot

_VERDICT = COLUMNS.index("verdict")


def matrix_page(document: Document) -> str:
    """The HTML page of a ``matrix.json``."""
    title = f"{document['model']} – fxpasses benchmark matrix"
    head = joined((PAGE_RULES, element("title", title), element("style", Markup(STYLE))))
    about = element("p", f"benchmark matrix · {document['environment']['cpu']}", cls="about")
    header = element("header", element("div", element("h1", str(document["model"])), about))
    warned = warnings_of(document)
    alerts = element("ul", *(element("li", text) for text in warned), cls="alerts") if warned else None
    sections = [_section(document, place, rows) for place, rows in places(document)]
    version = (document["environment"].get("versions") or {}).get("fxpasses") or ""
    footer = element("footer", f"fxpasses {version} · {document['created']} · all numbers are in matrix.json")
    body = element(
        "main",
        header,
        alerts,
        *sections,
        _how(document),
        environment(document),
        reproduce(document),
        footer,
    )
    return f'<!DOCTYPE html>\n<html lang="en">{element("head", head)}{element("body", body)}</html>\n'


def _section(document: Document, place: str, rows: list[Document]) -> Markup:
    plot = ratio_plot(rows)
    drawn = None if plot is None else element("div", Markup(plot), cls="scroll")
    left = (0, _VERDICT)
    names = columns(document)
    lines = [
        row(*_marked(each, names), left=left, cls="float32" if each["precision"] == "fp32" else "") for each in rows
    ]
    return section(place, drawn, table(names, lines, left=left))


def _marked(each: Document, names: tuple[str, ...]) -> list[str]:
    told: list[str] = list(cells(each, names))
    told[_VERDICT] = element("span", told[_VERDICT], cls=f"chip {LEVELS.get(each['verdict'], '')}".strip())
    return told


def _how(document: Document) -> Markup:
    noise = [
        (
            f"noise, batch {each['batch']}, threads {each['threads']}",
            f"ratio of the baseline to itself {each['ratio']:.3f}",
        )
        for each in document["noise"]
    ]
    told = element("ul", *(element("li", remark) for remark in remarks(document)))
    return section(
        "How it was measured", element("p", lead(document)), element("p", document["method"]), facts(noise), told
    )
