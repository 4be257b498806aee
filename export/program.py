"""Export a graph through ``torch.export``; both files of a QUANTIZED graph are written from the result."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import Dim, ExportedProgram

from fxpasses.errors import GraphError, InputError
from fxpasses.signature.examples import Spec, examples_of, with_tensors
from fxpasses.signature.free_sizes import BATCH, free_sizes, set_free_sizes
from fxpasses.signature.outputs import with_plain_outputs
from fxpasses.user_frames import first_line

from .collector import collector_paused

_REFUSALS = (AssertionError, RuntimeError, TypeError, ValueError)
_SMALLEST = 2
"""Smallest size of a free dimension; torch.export makes a constant of a size of 1."""


@collector_paused()
def exported_program(gm: fx.GraphModule, *, dynamic_batch: bool = True) -> ExportedProgram:
    """Export a graph once, for :func:`fxpasses.export.to_onnx` and :func:`fxpasses.export.save` to share.

    Without this, each of them exports the graph itself, which takes as long as the rest of its work.

    Args:
        gm: in a stage that these functions take. The program shares its tensors: change neither before both are
            written.
        dynamic_batch: whether the free sizes of the graph are free in the program.

    Raises:
        GraphError: torch.export refuses the graph, or cannot keep them free.
    """
    inputs, plain = example_inputs(gm, dynamic=dynamic_batch), with_plain_outputs(gm)
    sizes = free_sizes(gm)
    if not dynamic_batch or not sizes.names:
        return _of_one_size(gm, plain)
    named = {name: Dim(name) if name.startswith(BATCH) else Dim.DYNAMIC for name in sizes.names}
    try:
        return _export(plain, inputs, _shapes(gm, named))
    except _REFUSALS as error:
        if sizes.unasked:
            warnings.warn(f"{', '.join(sorted(sizes.unasked))} fixed: torch.export: {first_line(error)}", stacklevel=3)
            set_free_sizes(gm, sizes.without(sizes.unasked))
            return exported_program(gm)
    try:  # a size may be free up to a factor
        return _export(plain, inputs, _shapes(gm, dict.fromkeys(sizes.names, Dim.DYNAMIC)))
    except _REFUSALS as error:
        _of_one_size(gm, plain)  # if it is refused, too, sizes are not the reason
        raise GraphError(
            f"{type(gm).__name__} cannot be exported with {', '.join(sorted(sizes.names))} free",
            why=f"torch.export: {first_line(error)}",
            fix="program=fx.export.exported_program(graph, dynamic_batch=False), for the sizes at capture alone",
            step="export",
        ) from error


def _of_one_size(gm: fx.GraphModule, plain: fx.GraphModule) -> ExportedProgram:
    try:
        return _export(plain, example_inputs(gm), None)
    except _REFUSALS as error:
        raise GraphError(
            f"{type(gm).__name__} cannot be exported",
            why=f"torch.export: {first_line(error)}",
            fix="torch.save(graph, 'graph.pt') keeps it as a pickle, for yourself: reading that runs what it says",
            step="export",
        ) from error


@torch.no_grad()
def _export(gm: fx.GraphModule, inputs: tuple[Any, ...], shapes: Any) -> ExportedProgram:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # from packages that use deprecated names of torch
        program = torch.export.export(gm, inputs, dynamic_shapes=shapes)
    return _functional(program) if any(_writes(node) for node in program.graph.nodes) else program


def _functional(program: ExportedProgram) -> ExportedProgram:
    """The program without writes to tensors, which attention that is kept whole makes of its mask."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of operators that it does not take apart
        functional: ExportedProgram = program.run_decompositions({})
    return functional


def _writes(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and bool(node.target._schema.is_mutable)


def size_names(gm: fx.GraphModule) -> tuple[Any, ...] | None:
    """The names of the free sizes, nested like the inputs; None without free sizes."""
    sizes = free_sizes(gm).names
    return _shapes(gm, {name: name for name in sizes}) if sizes else None


def _shapes(gm: fx.GraphModule, named: dict[str, Any]) -> tuple[Any, ...]:
    """The value in ``named`` for each free dimension of each tensor, nested like the inputs."""
    free = iter(free_sizes(gm).inputs)
    without_others = tuple(_none_for_others(e) for e in examples_of(gm))
    return with_tensors(without_others, lambda _: {d: named[name] for d, name in next(free).items()} or None)


def _none_for_others(example: Any) -> Any:
    return with_tensors((example,), lambda spec: spec)[0] if _has_tensors(example) else None


def _has_tensors(example: Any) -> bool:
    found: list[Spec] = []
    with_tensors((example,), found.append)
    return bool(found)


def example_inputs(gm: fx.GraphModule, *, dynamic: bool = False) -> tuple[Any, ...]:
    """Zeros with the shapes of the example inputs; free sizes are large enough for torch.export.

    Args:
        dynamic: whether free sizes may differ from those at capture.
    """
    sizes, free = free_sizes(gm), iter(free_sizes(gm).inputs)

    def zeros(spec: Spec) -> Tensor:
        shape, dims = list(spec[0]), next(free)
        for d, name in dims.items() if dynamic else ():
            if name == BATCH or shape[d] < _SMALLEST:
                shape[d] = _SMALLEST if name.startswith(BATCH) else sizes.tried.get(name, _SMALLEST)
        return torch.zeros(shape, dtype=spec[1])

    return with_tensors(examples_of(gm), zeros)


def check_is_of(program: ExportedProgram, gm: fx.GraphModule) -> None:
    """Raise InputError if a program was not exported from this graph in its present state."""
    if set(_addresses(program.state_dict.values())) != set(_addresses(gm.state_dict().values())):
        raise InputError(
            f"program for {type(gm).__name__}",
            why="it was exported from another graph",
            fix="fxpasses.export.exported_program(graph), of the graph that is written",
        )


def _addresses(tensors: Any) -> Iterator[int]:
    return (t.data_ptr() for t in tensors if isinstance(t, Tensor) and t.numel())
