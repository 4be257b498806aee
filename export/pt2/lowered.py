"""``save_lowered`` and ``load_lowered``: a LOWERED graph in one ``.pt2`` file, complete and without pickled code.

This is :mod:`fxpasses.export.pt2.save_and_load` for LOWERED graphs. The file also runs in plain ``torch.export.load``,
once ``fxpasses.precision`` is imported, which registers its operators.
"""

from __future__ import annotations

from pathlib import Path

from torch import fx, nn

from fxpasses.graph.stages import Stage, check_stage, graph_facts

from ..metadata import metadata_of
from ..pt2_program.program import read_program
from ..pt2_records.archive import read_entries
from ..pt2_records.facts import facts_table
from ..pt2_records.records import RefusedError, refusing
from .save_and_load import write_program

_AGAIN = "save the model again with fxpasses.export.pt2.lowered.save_lowered"


def save_lowered(gm: fx.GraphModule, path: str | Path) -> Path:
    """Write a LOWERED graph as ``.pt2``.

    Raises:
        GraphError: the graph is not LOWERED.
        InputError: the file cannot be written, or its name does not end in ``.pt2``.
    """
    check_stage(gm, Stage.LOWERED, "save_lowered")
    facts = {"metadata": metadata_of(gm), "precision": graph_facts(gm).precision}
    return write_program(gm, Path(path), facts)


def load_lowered(path: str | Path) -> nn.Module:
    """The module in a file of :func:`save_lowered`, with float32 inputs and outputs.

    Raises:
        InputError: the file is missing, is not a lowered graph, is damaged, or holds pickled objects.
    """
    path = Path(path)
    with refusing(path, _AGAIN):
        entries = read_entries(path)
        if "precision" not in facts_table(entries):
            raise RefusedError("it holds no LOWERED graph", "read it with fx.export.load")
        return read_program(entries)
