"""``save`` and ``load``: a QUANTIZED graph in one ``.pt2`` file, complete and without pickled code.

The file is what ``torch.export.save`` writes: the graph as JSON, integers and scales as raw bytes, and the recipe,
target and names beside them. ``load`` needs neither the model's source nor the process that saved it.

``torch.export.load`` trusts its file: strings in it reach source that is compiled. ``load`` does not call it, but reads
the archive itself (:mod:`fxpasses.export.pt2_archive`, :mod:`fxpasses.export.pt2_program`): a file from a stranger is
data and nothing else.
"""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from torch import fx
from torch.export import ExportedProgram

from fxpasses.errors import InputError
from fxpasses.free_sizes import set_free_sizes
from fxpasses.pass_runner import pass_logs
from fxpasses.quantization import ops
from fxpasses.stages import Stage, check_stage, graph_facts, set_stage

from .collector import collector_paused
from .files import write_bytes_atomic
from .metadata import metadata_of, recipe_text
from .program import check_is_of, exported_program
from .pt2_archive import FACTS, read_entries
from .pt2_examples import examples_json, sizes_json
from .pt2_facts import read_facts
from .pt2_graph import graph_of_program
from .pt2_named_tuples import restore_named_tuples, tuples_json
from .pt2_plain_names import check_structure, has_plain_names, with_plain_names
from .pt2_program import read_program
from .pt2_records import refusing


@collector_paused()
def save(gm: fx.GraphModule, path: str | Path, *, program: ExportedProgram | None = None) -> Path:
    """Write a QUANTIZED graph, with its recipe, target and names, as ``.pt2``.

    Args:
        program: what :func:`fxpasses.export.exported_program` made of ``gm``.

    Raises:
        GraphError: the graph is not QUANTIZED.
        InputError: the file cannot be written, its name does not end in ``.pt2``, or ``program`` is of another graph.
    """
    check_stage(gm, Stage.QUANTIZED, "save")
    if program is not None:
        check_is_of(program, gm)
    return write_program(gm, Path(path), _facts_json(gm, program), program)


def write_program(
    gm: fx.GraphModule, path: Path, facts: dict[str, Any], program: ExportedProgram | None = None
) -> Path:
    """Export a graph, with the sizes free that are free in it, and write it with facts, as JSON, beside it.

    Raises:
        InputError: the file cannot be written, or its name does not end in ``.pt2``.
    """
    if path.suffix != ".pt2":
        raise InputError(f"{path}", why="a saved graph is a .pt2 file", fix=f"name it {path.with_suffix('.pt2').name}")
    if not has_plain_names(gm):
        gm, program = with_plain_names(gm), None
    saved = copy.copy(program) if program is not None else exported_program(gm)
    check_structure(saved)
    saved.example_inputs = None  # they would be saved as well
    buffer = io.BytesIO()
    torch.export.save(saved, buffer, extra_files={FACTS: json.dumps(facts)})
    write_bytes_atomic(path, buffer.getbuffer())
    return path


def load(path: str | Path, *, operators: Collection[str] = ()) -> fx.GraphModule:
    """Read a QUANTIZED graph that :func:`save` wrote; it can be lowered and exported like the original.

    The file may come from a stranger: nothing in it is run, evaluated or unpickled, whatever it holds.

    Args:
        operators: ``aten`` operators, as ``"aten.fft_hfft"``, to let through beside those on the list of
            :mod:`fxpasses.export.pt2_operators`; for files you know.

    Raises:
        InputError: the file is missing, is not a saved graph, is damaged, or holds anything ``save`` does not write.
    """
    path = Path(path)
    with refusing(path):
        entries = read_entries(path)
        facts = read_facts(entries)
        gm = graph_of_program(read_program(entries, operators), facts.examples, facts.names)
        known = graph_facts(gm)
        known["config"], known["example_inputs"] = facts.config, facts.examples
        pass_logs(gm).extend(facts.logs)
        if facts.sizes is not None:
            set_free_sizes(gm, facts.sizes)
        restore_named_tuples(gm, facts.table)
        set_stage(gm, Stage.QUANTIZED)
    return gm


def _facts_json(gm: fx.GraphModule, program: ExportedProgram | None) -> dict[str, Any]:
    facts = graph_facts(gm)
    logs = [
        {
            "name": log.name,
            "changed": [[c.node, c.what] for c in log.result.changed],
            "skipped": [[s.node, s.why] for s in log.result.skipped],
        }
        for log in pass_logs(gm)
    ]
    return {
        "metadata": metadata_of(gm),
        "recipe": recipe_text(facts["config"]),
        "example_inputs": examples_json(gm),
        **sizes_json(gm, fixed=program is not None and not program.range_constraints),
        **tuples_json(gm),
        "names": [n.name for n in gm.graph.nodes if n.target is ops.quantize],
        "log": logs,
    }
