"""``load_lowered``: the module in a ``.pt2`` file of a LOWERED graph, read without running anything in it."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from ..pt2_program.program import read_program
from ..pt2_records.archive import read_entries
from ..pt2_records.facts import facts_table
from ..pt2_records.records import RefusedError, refusing


def load_lowered(path: str | Path) -> nn.Module:
    """The module in a file of a LOWERED graph, with float32 inputs and outputs.

    Raises:
        InputError: the file is missing, is not a lowered graph, is damaged, or holds pickled objects.
    """
    path = Path(path)
    with refusing(path):
        entries = read_entries(path)
        if "precision" not in facts_table(entries):
            raise RefusedError("it holds no LOWERED graph", "read it with fx.export.load")
        return read_program(entries)
