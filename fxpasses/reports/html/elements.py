"""Elements of HTML. A :class:`Markup` is inserted unchanged; every other text is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

MANY_COLUMNS = 12


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


PAGE_RULES = Markup(
    '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:; base-uri 'none'; form-action 'none'\">"
)
"""Start of every page's head. Pages have no scripts and load nothing, and the browser is told to allow neither."""


def element(tag: str, *content: str | None, cls: str = "", **attributes: str) -> Markup:
    """Make ``<tag class=cls ...>content</tag>``; None is left out, text that is no Markup is escaped."""
    if cls:
        attributes = {"class": cls, **attributes}
    written = "".join(f' {name}="{html.escape(value)}"' for name, value in attributes.items())
    return Markup(f"<{tag}{written}>{joined(content)}</{tag}>")


def joined(content: Iterable[str | None]) -> Markup:
    """Join pieces, one after the other."""
    return Markup("".join(piece if isinstance(piece, Markup) else html.escape(piece) for piece in content if piece))


def table(columns: Sequence[str], rows: Iterable[Markup], left: Sequence[int] = (0,)) -> Markup:
    """Make a table that scrolls sideways if it is too wide; columns in ``left`` hold text, the others numbers.

    A table of more than ``MANY_COLUMNS`` is set closer, so that the last ones are seen without scrolling.
    """
    heads = (element("th", name, cls="left" if i in left else "", scope="col") for i, name in enumerate(columns))
    head = element("thead", element("tr", *heads))
    size = "many" if len(columns) > MANY_COLUMNS else ""
    return element("div", element("table", head, element("tbody", *rows), cls=size), cls="scroll")


def row(*cells: str, left: Sequence[int] = (0,), wrap: Sequence[int] = (), cls: str = "") -> Markup:
    """Make a row; cells in ``left`` are text, those in ``wrap`` long text."""
    kinds = ("wrap" if i in wrap else "left" if i in left else "" for i in range(len(cells)))
    return element("tr", *(element("td", cell, cls=kind) for cell, kind in zip(cells, kinds, strict=True)), cls=cls)


def facts(entries: Iterable[tuple[str, str | None]]) -> Markup:
    """Make a list of names and values; an entry without a value is left out."""
    return element("dl", *(joined((element("dt", name), element("dd", value))) for name, value in entries if value))


def section(title: str, *content: str | None) -> Markup:
    return element("section", element("h2", title), *content)


def folded(summary: str, *content: str | None) -> Markup:
    """Make a block that is closed at first, for long content."""
    return element("details", element("summary", summary), *content)
