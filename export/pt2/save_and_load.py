"""``save`` and ``load``: a graph in one ``.pt2`` file, complete and without pickled code.

``torch.export.save`` writes the file: the graph as JSON, integers and scales as raw bytes, and beside them the recipe,
target and names. ``load`` needs neither the model's source nor the process that saved it.

``torch.export.load`` trusts its file: strings in it become part of source that is compiled. ``load`` does not call it,
but reads the archive itself (:mod:`fxpasses.export.pt2_records.archive`, :mod:`fxpasses.export.pt2_program.program`): a
file from a stranger is only data.
"""

from __future__ import annotations

import copy
import io
import json
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from torch import fx
from torch.export import ExportedProgram

from fxpasses.errors import InputError
from fxpasses.graph.pass_runner import pass_logs
from fxpasses.graph.stages import Stage, check_stage, graph_facts, set_stage, stage_of
from fxpasses.quantization.numbers import ops
from fxpasses.signature.free_sizes import set_free_sizes

from ..collector import collector_paused
from ..files import write_bytes_atomic
from ..metadata import metadata_of, recipe_text
from ..program import check_is_of, exported_program
from ..pt2_program.named_tuples import restore_named_tuples, tuples_json
from ..pt2_program.program import read_program
from ..pt2_records.archive import FACTS, read_entries
from ..pt2_records.examples import examples_json, sizes_json
from ..pt2_records.facts import read_facts
from ..pt2_records.records import refusing
from .plain_names import check_structure, has_plain_names, with_plain_names
from .readable import require_readable
from .saved_graph import graph_of_program


@collector_paused()
def save(
    gm: fx.GraphModule,
    path: str | Path,
    *,
    program: ExportedProgram | None = None,
    operators: Collection[str] = (),
) -> Path:
    """Write a FLOAT or QUANTIZED graph, with its recipe, target and names, as ``.pt2``; or a LOWERED one.

    The file of a LOWERED graph holds what runs, and no later step takes it; ``fxpasses.load`` reads all of them. Plain
    ``torch.export.load`` runs it, too, once ``fxpasses.precision`` is imported, which registers its operators.

    Args:
        program: the result of :func:`fxpasses.export.exported_program` for ``gm``.
        operators: operators of the graph that are on no list, such as ``"aten.fft_hfft"``; :func:`load` accepts the
            file if it is given the same names.

    Raises:
        GraphError: the graph is OBSERVED, or ``torch.export`` cannot write it.
        InputError: the file cannot be written, its name does not end in ``.pt2``, ``program`` is of another graph, or
            :func:`load` would refuse the file.
    """
    if stage_of(gm) is Stage.LOWERED:
        precision = {"metadata": metadata_of(gm), "precision": graph_facts(gm).precision}
        return write_program(gm, Path(path), precision, program, operators)
    if stage_of(gm) is not Stage.FLOAT:
        check_stage(gm, Stage.QUANTIZED, "save")
    if program is not None:
        check_is_of(program, gm)
    return write_program(gm, Path(path), _facts_json(gm, program), program, operators)


def write_program(
    gm: fx.GraphModule,
    path: Path,
    facts: dict[str, Any],
    program: ExportedProgram | None = None,
    operators: Collection[str] = (),
) -> Path:
    """Export a graph with its free sizes, and write it together with facts as JSON.

    Raises:
        GraphError: ``torch.export`` cannot write the graph.
        InputError: the file cannot be written, its name does not end in ``.pt2``, or it could not be read again.
    """
    if path.suffix != ".pt2":
        raise InputError(f"{path}", why="a saved graph is a .pt2 file", fix=f"name it {path.with_suffix('.pt2').name}")
    if not has_plain_names(gm):
        gm, program = with_plain_names(gm), None
    saved = copy.copy(program) if program is not None else exported_program(gm)
    check_structure(saved)
    saved.example_inputs = None  # they would be saved as well
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No complete tensor found in the group")  # parameters are views of others
        torch.export.save(saved, buffer, extra_files={FACTS: json.dumps(facts)})
    require_readable(gm, buffer, saved, operators)
    write_bytes_atomic(path, buffer.getbuffer())
    return path


def load(path: str | Path, *, operators: Collection[str] = ()) -> fx.GraphModule:
    """Read a graph that :func:`save` wrote, FLOAT or QUANTIZED; every later step works as with the original.

    The file may come from a stranger: nothing in it is run, evaluated or unpickled.

    Args:
        operators: further operators to accept, such as ``"aten.fft_hfft"``, beside those on the list of
            :mod:`fxpasses.export.pt2_program.operators`; only for files you know.

    Raises:
        InputError: the file is missing, is not a saved graph, is damaged, or has contents that ``save`` does not write.
    """
    path = Path(path)
    with refusing(path):
        entries = read_entries(path)
        facts = read_facts(entries)
        gm = graph_of_program(read_program(entries, operators), facts.examples, facts.names, facts.stage)
        known = graph_facts(gm)
        known.example_inputs, known.example_ranges, known.config = facts.examples, facts.ranges, facts.config
        pass_logs(gm).extend(facts.logs)
        if facts.sizes is not None:
            set_free_sizes(gm, facts.sizes)
        restore_named_tuples(gm, facts.table)
        set_stage(gm, facts.stage)
    return gm.eval()


def _facts_json(gm: fx.GraphModule, program: ExportedProgram | None) -> dict[str, Any]:
    facts = graph_facts(gm)
    logs = [
        {
            "name": log.name,
            "changed": [[c.node, c.what] for c in log.result.changed],
            "skipped": [[s.node, s.text] for s in log.result.skipped],
        }
        for log in pass_logs(gm)
    ]
    return {
        "metadata": metadata_of(gm),
        **({} if facts.config is None else {"recipe": recipe_text(facts.config)}),
        "example_inputs": examples_json(gm),
        "example_ranges": facts.example_ranges,
        **sizes_json(gm, fixed=program is not None and not program.range_constraints),
        **tuples_json(gm),
        "names": [n.name for n in gm.graph.nodes if n.target is ops.quantize],
        "log": logs,
    }
