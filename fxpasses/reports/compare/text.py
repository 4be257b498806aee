"""A comparison as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from .rows import VALUE_COLUMNS, columns_of, text_rows, value_rows
from .runs import Run, cautions, what_differs

_LEFT = 2
"""Number of the first columns that hold text and are aligned left."""


def markdown(runs: Sequence[Run]) -> str:
    """Tables of measurements and of differences between the runs; ends with a newline."""
    parts = [_table(columns_of(runs), text_rows(runs), _LEFT)]
    parts += [f"- {caution}" for caution in cautions(runs)]
    differing = what_differs(runs)
    if differing:
        names = [run.name for run in runs]
        parts += ["", _table(("", *names), [(name, *values) for name, values in differing], len(names) + 1)]
    return "\n".join(parts) + "\n"


def csv_text(runs: Sequence[Run]) -> str:
    """Every variant of every run at every batch size and number of threads; what was not measured is empty."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(VALUE_COLUMNS)
    writer.writerows([_cell(value) for value in row] for row in value_rows(runs))
    return written.getvalue()


def _cell(value: object) -> object:
    """A cell of CSV; text that a spreadsheet would take for a formula is marked as text."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], left: int) -> str:
    lines = [columns, ["---" if i < left else "--:" for i in range(len(columns))], *rows]
    return "\n".join(f"| {' | '.join(map(_escaped, line))} |" for line in lines) + "\n"


def _escaped(text: str) -> str:
    """A cell of a Markdown table: one line, with bars and markup escaped."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
