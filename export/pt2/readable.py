"""Check that ``load`` accepts a file before it is renamed: its records are read back, with the tensors in memory."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Collection

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from fxpasses.errors import InputError
from fxpasses.signature.examples import examples_of

from ..pt2_program.operators import is_listed
from ..pt2_program.program import read_program
from ..pt2_program.sizes import record_sizes
from ..pt2_records.archive import PROGRAM
from ..pt2_records.records import RefusedError, shown


def require_readable(
    gm: fx.GraphModule, content: io.BytesIO, program: ExportedProgram, operators: Collection[str] = ()
) -> None:
    """Raise InputError for a program that :func:`fxpasses.export.load` would refuse.

    Args:
        gm: the graph that was saved.
        content: the archive made from ``program``.
        operators: further operators, which the caller must also name to ``load``.
    """
    missing = sorted({name for node in program.graph.nodes if (name := _unlisted(node)) and name not in operators})
    if missing:
        raise InputError(
            f"{type(gm).__name__} as .pt2",
            why=f"it calls {', '.join(missing)}, which no list of operators of saved graphs holds",
            fix=f"name them to both: save(graph, path, operators={missing}), load(path, operators={missing})",
        )
    tensors = {name: x for name, x in {**program.state_dict, **program.constants}.items() if isinstance(x, Tensor)}
    examples = examples_of(gm)
    try:
        with zipfile.ZipFile(content) as archive:
            record = next(name for name in archive.namelist() if name.endswith(f"/{PROGRAM}"))
            read = read_program({PROGRAM: archive.read(record)}, operators, tensors)
        record_sizes(read, examples)
    except RefusedError as error:
        raise _unreadable(gm, error.why) from error
    except (RuntimeError, TypeError, ValueError, NotImplementedError) as error:  # from operators on shapes only
        raise _unreadable(gm, shown((str(error) or type(error).__name__).splitlines()[0], 300)) from error


def _unlisted(node: fx.Node) -> str | None:
    """The name of an operator on no list; None for other nodes."""
    if not isinstance(node.target, torch._ops.OpOverload) or is_listed(str(node.target.namespace), node.target._opname):
        return None
    return f"{node.target.namespace}.{node.target._opname}"


def _unreadable(gm: fx.GraphModule, why: str) -> InputError:
    return InputError(
        f"{type(gm).__name__} as .pt2",
        why=f"fx.export.load would refuse it: {why}",
        fix="torch.save(graph, 'graph.pt') keeps it as a pickle, for yourself: reading that runs what it says",
    )
