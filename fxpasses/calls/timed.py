"""Time models and files in one call, each in turns with the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from fxpasses.errors import InputError
from fxpasses.export.onnx_reader import read_onnx
from fxpasses.export.probe_inputs import probe_inputs
from fxpasses.export.torch_int8 import to_torch
from fxpasses.graph.stages import Stage, stage_of
from fxpasses.measure.benchmark import BenchSettings, MakeInput, benchmark
from fxpasses.measure.latency import BenchResult
from fxpasses.measure.runners import Runner, onnx_runner, torch_runner
from fxpasses.signature.examples import tensors_in

from .opened import ONNX, PT2, load_model, precision_of

Subject = str | Path | nn.Module
"""A folder, a file, or a module; a QUANTIZED graph is timed on its int8 kernels."""


def bench(
    subject: Subject | Mapping[str, Subject],
    example_inputs: Tensor | tuple[Tensor, ...] | None = None,
    *,
    batches: Sequence[int] = (1,),
    threads: Sequence[int] = (1,),
    runs: int = 100,
    max_seconds: float = 60.0,
) -> BenchResult:
    """Measure latency; what is measured takes turns, so that a machine that slows down slows all of it.

    Args:
        subject: a folder of a command, all of whose models are timed; a ``.pt2`` or ``.onnx`` file; a model; an int8
            graph; or a dict of these by the names they are to have.
        example_inputs: what they are called with; may be left out for folders, files and captured graphs.
        batches: batch sizes; along dimension 0 the example is repeated or cut.
        threads: thread counts; each is combined with each batch size.
        runs: timed calls of each, at each setting.
        max_seconds: stop a setting after that long.

    Raises:
        InputError: there is nothing to time, a file cannot be opened, or no input is known.
    """
    named = subject if isinstance(subject, Mapping) else {None: subject}
    runners: list[Runner] = []
    example: tuple[Tensor, ...] | None = None
    if example_inputs is not None:
        example = example_inputs if isinstance(example_inputs, tuple) else (example_inputs,)
    for name, one in named.items():
        runners += _runners(one, name)
        if example is None:
            example = _known_inputs(one)
    if not runners:
        raise InputError("nothing to time", why="no model was given", fix="pass a folder, a file or a model")
    if example is None:
        raise InputError("bench knows no input of the model", why="it was not captured", fix="give example_inputs, too")
    settings = BenchSettings(tuple(batches), tuple(threads), runs, max_seconds=max_seconds)
    return benchmark(runners, _in_batches(example), settings)


def _runners(subject: Subject, name: str | None) -> list[Runner]:
    if isinstance(subject, nn.Module):
        int8 = isinstance(subject, fx.GraphModule) and stage_of(subject) is Stage.QUANTIZED
        module = to_torch(subject) if int8 and isinstance(subject, fx.GraphModule) else subject
        return [torch_runner(module, "int8" if int8 else "fp32", name=name)]
    path = Path(subject)
    if path.is_dir():
        files = sorted([*path.glob(f"model.*{PT2}"), *path.glob(f"model.*{ONNX}")])
        if not files:
            raise InputError(
                f"nothing to time in {path}", why=f"it has no model.*{PT2} and no model.*{ONNX}", fix="name another"
            )
        return [_file_runner(file, None if name is None else f"{name}, {file.name}") for file in files]
    return [_file_runner(path, name)]


def _file_runner(path: Path, name: str | None) -> Runner:
    if path.suffix == ONNX:
        return onnx_runner(path, precision_of(path), name=name)
    model = load_model(path)
    if isinstance(model, fx.GraphModule) and stage_of(model) is Stage.QUANTIZED:
        model = to_torch(model)
    return torch_runner(model, precision_of(path), name=name)


def _known_inputs(subject: Subject) -> tuple[Tensor, ...] | None:
    """Noise in the shapes of the subject's inputs; None for a module that was not captured."""
    if isinstance(subject, nn.Module):
        captured = isinstance(subject, fx.GraphModule) and stage_of(subject) is not None
        return tuple(tensors_in(probe_inputs(subject))) if captured else None  # type: ignore[arg-type]
    path = Path(subject)
    if path.is_dir():
        path = next(iter(sorted(path.glob(f"model.*{ONNX}"))), path)
    if path.suffix == ONNX:
        return _onnx_inputs(path)
    return _known_inputs(load_model(path)) if path.is_file() else None


def _onnx_inputs(path: Path) -> tuple[Tensor, ...]:
    """Noise in the shapes of an ONNX file's inputs; free sizes are 1."""
    import onnx

    generator = torch.Generator().manual_seed(0)
    found: list[Tensor] = []
    for value in read_onnx(path, weights=False).graph.input:
        shape = [dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        floats = torch.randn(shape, generator=generator)
        found.append(floats if dtype.kind == "f" else torch.zeros(shape, dtype=getattr(torch, dtype.name)))
    return tuple(found)


def _in_batches(example: tuple[Any, ...]) -> MakeInput:
    """The example, repeated or cut along dimension 0."""

    def make(batch: int) -> tuple[Tensor, ...]:
        return tuple(x[torch.arange(batch) % len(x)] if x.dim() else x for x in example)

    return make
