"""Elements of HTML. A :class:`Markup` is inserted unchanged; every other text is escaped."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterable, Sequence

MANY_COLUMNS = 8


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


SORTING = """
"use strict";
(() => {
  const units = { k: 1e3, M: 1e6, G: 1e9 };
  const valueOf = (cell) => {
    const text = (cell ? cell.textContent : "").trim().replace("\u2212", "-");
    const found = text.match(/^[+\u00b1]?(-?[0-9]+(?:\\.[0-9]+)?)\\s*([kMG])?/);
    return found ? Number(found[1]) * (units[found[2]] || 1) : text;
  };
  const order = (a, b) => {
    const numbers = (typeof a === "number") - (typeof b === "number");
    if (numbers) return -numbers;
    return typeof a === "number" ? a - b : a.localeCompare(b);
  };
  const sort = (table, column, sign) => {
    const body = table.tBodies[0];
    const parts = [{ head: null, rows: [] }];
    for (const row of [...body.rows]) {
      const last = parts[parts.length - 1];
      if (row.classList.contains("group")) parts.push({ head: row, rows: [] });
      else if (row.classList.contains("why") && last.rows.length) last.rows[last.rows.length - 1].push(row);
      else last.rows.push([row]);
    }
    for (const part of parts) {
      part.rows.sort((a, b) => sign * order(valueOf(a[0].cells[column]), valueOf(b[0].cells[column])));
      if (part.head) body.append(part.head);
      for (const rows of part.rows) body.append(...rows);
    }
  };
  for (const table of document.querySelectorAll("table")) {
    const heads = [...table.querySelectorAll("thead th")];
    heads.forEach((head, column) => {
      if (!head.textContent.trim()) return;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.title = "sort by this column";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const falls = head.getAttribute("aria-sort") === "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", falls ? "descending" : "ascending");
        sort(table, column, falls ? -1 : 1);
      });
    });
  }
})();
"""
"""Script that sorts a table's rows on a click on a column's head; reasons stay with their rows, groups stay apart."""
_HASH = base64.b64encode(hashlib.sha256(SORTING.encode()).digest()).decode()

PAGE_RULES = Markup(
    '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
    f"script-src 'sha256-{_HASH}'; img-src data:; base-uri 'none'; form-action 'none'\">"
)
"""Start of every page's head. Pages load nothing, and run no script but ``SORTING``, allowed by its hash."""
SCRIPT = Markup(f"<script>{SORTING}</script>")
"""End of every page's body."""


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
