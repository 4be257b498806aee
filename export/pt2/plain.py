"""Read a float program that ``torch.export.save`` wrote with the project's own reader, as a model to start from.

The reader accepts what :mod:`fxpasses.export.pt2_program.program` accepts: operators of its table, tensors as raw
bytes, plain names. The sample inputs, which torch pickles, are not read; the shapes of the inputs come from the
program.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx

from fxpasses.quantization.numbers import ops

from ..pt2_program.program import read_program
from ..pt2_records import records
from ..pt2_records.archive import PROGRAM, read_entries
from ..pt2_records.records import RefusedError, refusing
from ..pt2_records.tensors import DTYPES

FIX = "save it with torch.export.save(torch.export.export(model.eval(), example_inputs), path)"
_LARGEST = 1 << 31


def load_float_program(path: str | Path) -> tuple[fx.GraphModule, tuple[Tensor, ...]]:
    """The program as a module, and inputs of zeros with the sizes of the export.

    Raises:
        InputError: the file is missing, damaged, contains parts that the reader does not accept, or is an int8 graph.
    """
    path = Path(path)
    with refusing(path, FIX):
        entries = read_entries(path, plain=True)
        gm = read_program(entries)
        if any(node.target is ops.quantize for node in gm.graph.nodes):
            raise RefusedError("it is an int8 graph already", "fx.export.load reads it; start from the float model")
        examples = _examples(entries)
    return gm.eval(), examples


def _examples(entries: dict[str, bytes]) -> tuple[Tensor, ...]:
    module = records.field(records.parsed(PROGRAM, entries[PROGRAM]), "graph_module", PROGRAM)
    values = records.field(records.field(module, "graph", PROGRAM), "tensor_values", PROGRAM)
    found = []
    for spec in records.items(
        records.field(records.field(module, "signature", PROGRAM), "input_specs", PROGRAM), PROGRAM
    ):
        kind, given = records.only(spec, PROGRAM)
        if kind == "user_input":
            what, tensor = records.only(records.field(given, "arg", PROGRAM), PROGRAM)
            if what != "as_tensor":
                raise RefusedError("one of its inputs is no tensor", "export it with tensors for all inputs")
            found.append(_zeros(records.field(values, str(records.field(tensor, "name", PROGRAM)), PROGRAM)))
    if not found:
        raise RefusedError("it takes no input", FIX)
    return tuple(found)


def _zeros(value: Any) -> Tensor:
    sizes = [_size(size) for size in records.items(records.field(value, "sizes", PROGRAM), PROGRAM)]
    total = 1
    for size in sizes:
        total *= size
    dtype = DTYPES.get(records.field(value, "dtype", PROGRAM))
    if dtype is None or not sizes or total > _LARGEST:
        raise RefusedError(f"an input of {total} values, or of a dtype that no model reads", FIX)
    return torch.zeros(sizes, dtype=dtype)


def _size(size: Any) -> int:
    """A size; for an open size its value when the program was made."""
    kind, value = records.only(size, PROGRAM)
    if kind == "as_expr":
        _, value = records.only(records.field(value, "hint", PROGRAM), PROGRAM)
    if type(value) is not int or not 0 < value <= _LARGEST:
        raise RefusedError("the size of an input is no number", FIX)
    return value
