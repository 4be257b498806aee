"""A difference as a picture: operators of A on the left, their matches in B on the right, coloured by the change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fxpasses.errors import InputError
from fxpasses.export.files import write_bytes_atomic

from .changes import Kind, Row, result_text
from .text import TITLES, counted, summary_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .difference import Difference

SUFFIXES = (".svg", ".png")
_COLUMN, _ROW, _HEAD = 7.4, 0.27, 0.5
"""Sizes in inches: the width of a column, the height of a row, and the margin at the top."""
_MOST_ROWS, _MOST_COLUMNS = 44, 6
_COLOURS = {
    Kind.FOLDED: "#d9c8f0",
    Kind.SATURATION: "#e7e2f2",
    Kind.INT8: "#bfe3cc",
    Kind.MOVED: "#e0f2e6",
    Kind.INTO_FLOAT: "#fbd9c4",
    Kind.PRECISION: "#cfe3f7",
    Kind.GRID: "#dcebf8",
    Kind.OPERATOR: "#fce8b2",
    Kind.CHANNELS: "#ffd79a",
    Kind.PADDED: "#fff0d6",
    Kind.ZEROS: "#f7e1b5",
    Kind.WEIGHTS: "#f3ecd0",
    Kind.REMOVED: "#f8c9c5",
    Kind.NEW: "#c5ecf0",
}
_SAME = "#f2f3f5"
_SETTINGS: Any = {"svg.fonttype": "none", "text.parse_math": False, "svg.hashsalt": "fxpasses", "font.size": 8}


def write_picture(found: Difference, path: Path) -> Path:
    """Draw a difference into an ``.svg`` or ``.png`` file.

    Raises:
        InputError: the file is of another kind, or cannot be written.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"cannot draw into {path}",
            why=f"a picture is {' or '.join(SUFFIXES)}",
            fix=f"name it {path.with_suffix('.svg').name}",
        )
    write_bytes_atomic(path, memoryview(picture(found, path.suffix.lower().removeprefix("."))))
    return path


def picture(found: Difference, kind: str) -> bytes:
    """The picture as the bytes of an ``svg`` or ``png`` file."""
    import io

    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    rows = list(found.rows)
    columns = min(max(1, math.ceil(len(rows) / _MOST_ROWS)), _MOST_COLUMNS)
    per_column = max(1, math.ceil(len(rows) / columns))
    heads = _head(found)
    written = io.BytesIO()
    with rc_context(_SETTINGS):
        height = _HEAD + _ROW * (per_column + len(heads) + 1)
        figure = Figure(figsize=(_COLUMN * columns, height), facecolor="white")
        FigureCanvasSVG(figure) if kind == "svg" else FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, _COLUMN * columns)
        axes.set_ylim(height, 0)
        _draw_head(axes, heads)
        for i, row in enumerate(rows):
            top = _HEAD + _ROW * (len(heads) + i % per_column)
            _draw_row(axes, row, _COLUMN * (i // per_column), top)
        settings: Any = {"metadata": {"Date": None}} if kind == "svg" else {"dpi": 130}
        figure.savefig(written, format=kind, **settings)
    return written.getvalue()


def _head(found: Difference) -> list[tuple[str, str]]:
    """Lines above the rows, each with the colour that it explains."""
    lines = [(f"A  {found.a.name} ({found.a.kind})   →   B  {found.b.name} ({found.b.kind})", "")]
    if not found.related or found.is_empty:
        return [*lines, *((_cut(text, 110), "") for text in summary_lines(found))]
    lines += [(f"{TITLES[kind]}: {counted(counter)}", _COLOURS[kind]) for kind, counter in found.counts().items()]
    return [*lines, ("unchanged", _SAME)]


def _draw_head(axes: Axes, lines: Sequence[tuple[str, str]]) -> None:
    for i, (text, colour) in enumerate(lines):
        middle = 0.3 + _ROW * i
        if colour:
            _box(axes, 0.2, middle - 0.08, 0.22, 0.16, colour)
        axes.text(0.52 if colour else 0.2, middle, text, va="center", weight="normal" if colour else "bold")


def _draw_row(axes: Axes, row: Row, left: float, top: float) -> None:
    """Draw two connected boxes; a removed or new step has one box, and text in place of the other."""
    colour = _COLOURS[row.changes[0].kind] if row.changes else _SAME
    middle, words = top + _ROW / 2, _cut("; ".join(change.words for change in row.changes), 62)
    if row.a is not None:
        _box(axes, left + 0.2, top + 0.02, 3.1, _ROW - 0.05, colour)
        axes.text(left + 0.27, middle, _cut(f"{row.a.title}  {row.a.operator}", 48), va="center")
    if row.b is not None:
        _box(axes, left + 3.75, top + 0.02, 3.45, _ROW - 0.05, colour)
        told = result_text(row.b) if row.a is not None else f"{row.b.title}  {row.b.operator}"
        weight = f"  {row.b.weight}" if row.b.weight is not None and row.a is not None else ""
        axes.text(left + 3.82, middle, _cut(told + weight, 54), va="center")
    if row.a is not None and row.b is not None:
        arrow = {"arrowstyle": "-|>", "color": "#7a828e", "linewidth": 0.8}
        axes.annotate("", (left + 3.74, middle), (left + 3.31, middle), arrowprops=arrow)
    elif row.a is not None:
        axes.text(left + 3.42, middle, words, va="center", color="#5d6674", style="italic")


def _box(axes: Axes, x: float, y: float, width: float, height: float, colour: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    style = "round,pad=0,rounding_size=0.04"
    axes.add_patch(FancyBboxPatch((x, y), width, height, style, facecolor=colour, edgecolor="#b3bac4", linewidth=0.5))


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
