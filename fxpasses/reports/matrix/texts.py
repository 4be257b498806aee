"""The matrix as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from .cells import Document, cells, columns, lead, places, remarks, warnings_of

FIELDS = (
    *("device", "batch", "threads", "name", "structure", "runtime", "precision", "runs", "rounds", "median_ms"),
    *("mean_ms", "std_ms", "size_bytes", "ratio", "interval_low", "interval_high", "paired", "verdict", "millijoules"),
)
"""Columns of the CSV file."""


def matrix_markdown(document: Document) -> str:
    """A page of Markdown, a table for each setting on each device."""
    return "\n".join(_lines(document)) + "\n"


def _lines(document: Document) -> Iterator[str]:
    names = columns(document)
    yield f"# Benchmark matrix of {_escaped(document['model'])}"
    yield from ("", lead(document), "")
    for warning in warnings_of(document):
        yield f"**{_escaped(warning)}**\n"
    for place, rows in places(document):
        yield from (f"## {_escaped(place)}", "")
        yield f"| {' | '.join(names)} |"
        yield f"|{'---|' * len(names)}"
        for row in rows:
            yield f"| {' | '.join(map(_escaped, cells(row, names)))} |"
        yield ""
    yield from (f"- {_escaped(remark)}" for remark in remarks(document))
    yield from ("", document["method"])


def _escaped(text: str) -> str:
    for mark in "\\`*_<>|[]#":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())


def matrix_csv(document: Document) -> str:
    """The matrix as CSV: a line for each row, with all digits of numbers; unknown values are empty."""
    written = io.StringIO()
    lines = csv.writer(written, lineterminator="\n")
    lines.writerow(FIELDS)
    for row in document["rows"]:
        low, high = row["interval"] or (None, None)
        known = {**row, "interval_low": low, "interval_high": high}
        lines.writerow([_plain(known[field]) for field in FIELDS])
    return written.getvalue()


def _plain(value: object) -> object:
    """Text that a spreadsheet would take for a formula is marked as text."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value
