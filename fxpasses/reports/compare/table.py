"""A comparison in the terminal, as a rich table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .rows import columns_of, text_rows
from .runs import Run

if TYPE_CHECKING:
    from rich.table import Table


def variant_table(runs: Sequence[Run]) -> Table:
    """Table of every variant of every run."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns_of(runs)):
        table.add_column(column, justify="left" if i < 2 else "right", overflow="fold")
    for cells in text_rows(runs):
        table.add_row(*(Text(cell) for cell in cells))
    return table
