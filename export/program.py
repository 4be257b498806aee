"""A graph through ``torch.export``: what both files of a QUANTIZED graph are written from."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from fxpasses.errors import InputError
from fxpasses.stages import graph_facts

from .collector import collector_paused


@collector_paused()
def exported_program(gm: fx.GraphModule, *, dynamic_batch: bool = True) -> ExportedProgram:
    """Export a graph once, for :func:`fxpasses.export.to_onnx` and :func:`fxpasses.export.save` to share.

    Each of them exports the graph itself where it is given none, which takes as long as the rest of its work.

    Args:
        gm: in the stage those functions take. The program shares its tensors: change neither before both are written.
        dynamic_batch: whether dimension 0 of all inputs is free. ``save`` needs it free.
    """
    inputs = example_inputs(gm, batch=2 if dynamic_batch else None)  # torch.export takes a batch of 1 for a constant
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of packages that still call torch by its older names
        return torch.export.export(gm, inputs, dynamic_shapes=batch_shapes(inputs) if dynamic_batch else None)


def batch_shapes(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Dimension 0 of every tensor free, under the name ``batch``."""
    batch = {0: torch.export.Dim("batch")}
    return tuple(batch if isinstance(x, Tensor) else None for x in inputs)


def example_inputs(gm: fx.GraphModule, batch: int | None = None) -> tuple[Any, ...]:
    """Inputs shaped as those the graph was captured with, of zeros."""
    inputs: list[Any] = []
    for example in graph_facts(gm)["example_inputs"]:
        if not (isinstance(example, tuple) and len(example) == 2 and isinstance(example[1], torch.dtype)):
            inputs.append(example)
            continue
        shape, dtype = example
        inputs.append(torch.zeros((batch or shape[0], *shape[1:]), dtype=dtype))
    return tuple(inputs)


def check_is_of(program: ExportedProgram, gm: fx.GraphModule) -> None:
    """Raise InputError if a program was not exported from this graph, as it is."""
    if set(_addresses(program.state_dict.values())) != set(_addresses(gm.state_dict().values())):
        raise InputError(
            f"program for {type(gm).__name__}",
            why="it was exported from another graph",
            fix="fxpasses.export.exported_program(graph), of the graph that is written",
        )


def _addresses(tensors: Any) -> Iterator[int]:
    return (t.data_ptr() for t in tensors if isinstance(t, Tensor) and t.numel())
