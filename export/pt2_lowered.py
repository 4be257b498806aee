"""``save_lowered`` and ``load_lowered``: a LOWERED graph in one ``.pt2`` file, complete and without pickled code.

What :mod:`fxpasses.export.pt2_file` is to QUANTIZED graphs. The file runs in plain ``torch.export.load``, too, once
``fxpasses.precision`` is imported: its operators must be known.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import fx, nn

from fxpasses.errors import InputError
from fxpasses.stages import Stage, check_stage, graph_facts

from .metadata import metadata_of
from .pt2_archive import plain_archive
from .pt2_file import write_program

_AGAIN = "save the model again with fxpasses.export.pt2_lowered.save_lowered"


def save_lowered(gm: fx.GraphModule, path: str | Path) -> Path:
    """Write a LOWERED graph as ``.pt2``.

    Raises:
        GraphError: the graph is not LOWERED.
        InputError: the file cannot be written, or its name does not end in ``.pt2``.
    """
    check_stage(gm, Stage.LOWERED, "save_lowered")
    facts = {"metadata": metadata_of(gm), "precision": graph_facts(gm)["precision"]}
    return write_program(gm, Path(path), facts)


def load_lowered(path: str | Path) -> nn.Module:
    """The module that :func:`save_lowered` wrote; float32 in and out.

    Raises:
        InputError: the file is missing, is not a lowered graph, is damaged, or holds pickled objects.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}", why="there is no such file", fix="name a .pt2 file fxpasses wrote")
    archive, facts = plain_archive(path, path.read_bytes())
    if "precision" not in facts:
        raise InputError(f"{path}", why="it holds no LOWERED graph", fix="read it with fx.export.load")
    try:
        return torch.export.load(archive).module()
    except (RuntimeError, ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{path}", why=f"it is damaged, or of another version: {reason}", fix=_AGAIN) from error
