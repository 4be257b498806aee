"""Measurements of any model, float or int8, in either runtime: one function for each.

    accuracy        top-1 in percent
    latency         mean and standard deviation over runs, each the mean of a block of calls
    flops           two for each multiply-accumulate: rounding removes none of them
    file_megabytes  size of the deployed file: the .pt2 file or the ONNX file
    parameters      weights and biases, also if they are integers

None of them reads ``module.parameters()`` of an int8 module or counts by hooks on layer classes: for int8 modules both
give almost nothing.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn
from torch.fx import GraphModule

import fxpasses as fx
from fxpasses.export.files import file_bytes
from fxpasses.graph.shapes import shape_of
from fxpasses.graph.stages import Stage, stage_of
from fxpasses.macs import batch_of, count_graph_macs
from fxpasses.measure.benchmark import BenchSettings, benchmark
from fxpasses.measure.latency import Cell
from fxpasses.measure.model_size import count_parameters
from fxpasses.measure.runners import Runner, onnx_runner, torch_runner
from fxpasses.models.training.evaluation import evaluate_top1
from fxpasses.precision.dynamic import DynamicLinear
from fxpasses.quantization.int8.int8_calls import find_float_results, find_int8_calls

RUNS = 5
CALLS_PER_RUN = 5
MOST_SECONDS = 120.0
"""Time limit for all subjects at one batch size; the slowest then get fewer runs."""
MEGABYTE = 1e6
Batches = Iterable[tuple[Tensor, Tensor | None]]


@dataclass(frozen=True)
class Subject:
    """One form of a model in one runtime: its deployed file, its number of weights and biases, and its runner."""

    name: str
    runtime: str
    file: Path
    params: int
    runner: Runner


@dataclass(frozen=True)
class Latency:
    """Latency of a call in milliseconds: mean and standard deviation over runs."""

    mean_ms: float
    std_ms: float


def accuracy(subject: Subject, batches: Batches) -> float:
    """Top-1 of a subject in percent."""
    return evaluate_top1(subject.runner, batches)


def file_megabytes(subject: Subject) -> float:
    """Size of the file, with the files that belong to it, in MB of a million bytes."""
    return file_bytes(subject.file) / MEGABYTE


def parameters(graph: GraphModule) -> int:
    """Number of weights and biases, float or integers; layers that quantize their own input keep all as buffers."""
    count = count_parameters(graph).params
    for module in graph.modules():
        if isinstance(module, DynamicLinear):
            count += module.weight.numel() + (0 if module.bias is None else module.bias.numel())
    return count


def flops(graph: GraphModule) -> int:
    """FLOPs: two for each multiply-accumulate of one input, in a FLOAT graph or in the layers of a QUANTIZED one."""
    if stage_of(graph) is not Stage.QUANTIZED:
        return 2 * count_graph_macs(graph)
    layers = [(call.node, call.layer) for call in find_int8_calls(graph).values() if call.layer is not None]
    layers += [(result.node, result.layer) for result in find_float_results(graph).values()]
    products = sum(layer.weight[0].numel() * math.prod(shape_of(node) or ()) for node, layer in layers)
    return 2 * products // batch_of(graph)


def latencies(
    subjects: Sequence[Subject],
    make_input: Callable[[int], Tensor],
    batches: Sequence[int],
    *,
    threads: int = 1,
    runs: int = RUNS,
) -> dict[tuple[str, int], Latency]:
    """Latencies of every subject at every batch size, measured in turns.

    One more run comes first and is not counted. After two minutes at one batch size no further run begins.
    """
    settings = BenchSettings(tuple(batches), (threads,), (runs + 1) * CALLS_PER_RUN, max_seconds=MOST_SECONDS)
    found = benchmark([subject.runner for subject in subjects], make_input, settings)
    return {
        (subject.name, cell.batch): _over_runs(cell, subject.runner.name)
        for subject in subjects
        for cell in found.cells
    }


def _over_runs(cell: Cell, runner: str) -> Latency:
    means = [statistics.fmean(block) / 1e6 for block in cell.rounds[runner]]
    means = means[1:] or means  # if time was up after the first round, it is the only one
    return Latency(statistics.fmean(means), statistics.stdev(means) if len(means) > 1 else 0.0)


def in_both_runtimes(
    name: str, precision: str, graph: GraphModule, folder: Path, threads: int = 1
) -> tuple[Subject, Subject]:
    """Subjects of a FLOAT, LOWERED or QUANTIZED graph in PyTorch and in onnxruntime, with files
    NAME.pt2 and NAME.onnx.
    """
    folder.mkdir(parents=True, exist_ok=True)
    saved = folder / f"{name}.pt2"
    fx.export.save(graph, saved)
    exported = fx.export.to_onnx(graph, folder / f"{name}.onnx")
    module: nn.Module = fx.export.to_torch(graph) if stage_of(graph) is Stage.QUANTIZED else graph
    params = parameters(graph)
    here, there = f"{name}, torch", f"{name}, onnxruntime"
    return (
        Subject(here, "torch", saved, params, torch_runner(module, precision, threads, here)),
        Subject(there, "onnxruntime", exported, params, onnx_runner(exported, precision, threads, there)),
    )
