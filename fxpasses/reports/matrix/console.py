"""The matrix in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .cells import COLUMNS, LEVELS, Document, cells, columns, lead, places, remarks, warnings_of

if TYPE_CHECKING:
    from rich.console import Console

_COLOURS = {"good": "green", "bad": "red"}
_VERDICT = COLUMNS.index("verdict")


def print_matrix(document: Document, console: Console) -> None:
    """Print a table for each setting on each device, and the sentences beside the tables."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    for place, rows in places(document):
        console.print(Text(place, style="bold"))
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for i, column in enumerate(columns(document)):
            table.add_column(column, justify="left" if i in (0, _VERDICT) else "right", no_wrap=True)
        for row in rows:
            told = [Text(cell) for cell in cells(row, columns(document))]
            told[_VERDICT].stylize(_COLOURS.get(LEVELS.get(row["verdict"], ""), "dim"))
            table.add_row(*told)
        console.print(table)
    console.print(Text(lead(document)))
    for warning in warnings_of(document):
        console.print(Text(f"WARNING {warning}", style="bold yellow"), soft_wrap=True)
    for remark in remarks(document):
        console.print(Text(f"note    {remark}"), soft_wrap=True)
