"""Accuracy, size and latency of the artifacts of one folder, as the variants of its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import fx, nn

from fxpasses.export.files import file_bytes
from fxpasses.export.torch_int8 import to_torch
from fxpasses.graph.devices import usable_device
from fxpasses.graph.pass_runner import copy_graph
from fxpasses.machine.kernel_level import kernel_levels
from fxpasses.measure.accuracy import Comparison, compare
from fxpasses.measure.benchmark import BenchSettings, MakeInput, benchmark
from fxpasses.measure.gpu_runner import gpu_runner
from fxpasses.measure.latency import BenchResult
from fxpasses.measure.model_size import MacCount, ParameterCount, count_macs, count_parameters, module_bytes
from fxpasses.measure.runners import ONNXRUNTIME, Runner, onnx_runner, torch_runner
from fxpasses.reports.document import Variant, variant_of
from fxpasses.reports.numbers import count_text

from ..terminal import Terminal
from .artifacts import FLOAT_ONNX, INT8_ONNX, INT8_PT2

if TYPE_CHECKING:
    from ..given import Input

FLOAT, INT8 = "fp32", "int8"
NEAREST = "torch int8, nearest"
EVALUATION_BATCH = 25
SHORT_BENCHMARK = BenchSettings(runs=50, max_seconds=10.0)
"""What ``quantize`` measures: enough for a ratio; ``fxpasses bench`` measures with care."""


@dataclass(frozen=True)
class Subjects:
    """What is measured: the float graph where there is one, the int8 graph, its kernels in PyTorch, and the files."""

    folder: Path
    graph: fx.GraphModule | None
    int8: fx.GraphModule
    int8_module: nn.Module
    runners: Sequence[Runner]

    @classmethod
    def of(
        cls,
        folder: Path,
        graph: fx.GraphModule | None,
        int8: fx.GraphModule,
        threads: int,
        nearest: fx.GraphModule | None = None,
        device: str = "cpu",
    ) -> Subjects:
        """Runners for both precisions in both runtimes; torch fp32 only where there is a float graph.

        ``nearest`` is the int8 graph rounded to nearest, where rounding was learned. PyTorch runs on ``device``.

        Raises:
            InputError: there is no such device, or no int8 kernels for it.
        """
        place, module = usable_device(device), to_torch(int8)
        runners: list[Runner] = []
        if place.type == "cuda":
            runners += [] if graph is None else [gpu_runner(copy_graph(graph), FLOAT, place)]
            runners.append(gpu_runner(to_torch(int8, device=place), INT8, place))
        else:
            runners += [] if graph is None else [torch_runner(graph, FLOAT, threads)]
            runners.append(torch_runner(module, INT8, threads))
        if nearest is not None:
            runners.append(torch_runner(to_torch(nearest), INT8, threads, name=NEAREST))
        runners.append(onnx_runner(folder / FLOAT_ONNX, FLOAT, threads))
        runners.append(onnx_runner(folder / INT8_ONNX, INT8, threads))
        return cls(folder, graph, int8, module, runners)

    def file_of(self, runner: Runner) -> str | None:
        if runner.runtime == ONNXRUNTIME:
            return FLOAT_ONNX if runner.precision == FLOAT else INT8_ONNX
        return INT8_PT2 if runner.precision == INT8 and runner.name != NEAREST else None

    def bytes_of(self, runner: Runner) -> int | None:
        """An ONNX file's size; of a module, its weights alone."""
        if runner.runtime == ONNXRUNTIME:
            return file_bytes(self.folder / (FLOAT_ONNX if runner.precision == FLOAT else INT8_ONNX))
        module = self.graph if runner.precision == FLOAT else self.int8
        return None if module is None else module_bytes(module)

    @property
    def kernels(self) -> dict[str, str]:
        """The level of int8 kernels that each runtime uses on this machine."""
        return kernel_levels(self.int8)

    def parameters_of(self, runner: Runner) -> ParameterCount | None:
        module = self.graph if runner.precision == FLOAT else self.int8
        return None if module is None else count_parameters(module)


@dataclass(frozen=True)
class Measured:
    """The variants, how multiply-accumulates were counted, and what is odd about that, as a sentence."""

    variants: list[Variant]
    has_labels: bool
    macs: MacCount

    @property
    def odd_macs(self) -> str | None:
        return why_odd(self.macs)


def measure(subjects: Subjects, given: Input, images: int, bench: bool, terminal: Terminal) -> Measured:
    """Measure every runner on at most ``images`` images, and, if ``bench``, shortly its latency."""
    assert subjects.graph is not None
    model, images = given.model, min(images, given.data.evaluation_images)
    with terminal.step("count multiply-accumulates"):
        macs = count_macs(subjects.graph, model.example_inputs(batch=1))
    compared = compared_on(subjects.runners, given, images, terminal)
    latencies = time_runners(subjects.runners, model.example_inputs, SHORT_BENCHMARK, terminal) if bench else None
    variants = [_variant(subjects, runner, macs, compared[runner.name], latencies) for runner in subjects.runners]
    return Measured(variants, any(c.is_labelled for c in compared.values()), macs)


def compared_on(runners: Sequence[Runner], given: Input, images: int, terminal: Terminal) -> dict[str, Comparison]:
    """Accuracy of every runner on so many images, by the metric asked for."""
    batches = given.data.evaluation(EVALUATION_BATCH, images)
    with terminal.step("accuracy", images) as step:
        return compare(runners, batches, metric=given.metric, progress=step.at, total=images)


def time_runners(
    runners: Sequence[Runner], make_input: MakeInput, settings: BenchSettings, terminal: Terminal
) -> BenchResult:
    """Latency of every runner, on the same input."""
    with terminal.step("latency", settings.runs, timing=True) as step:
        return benchmark(runners, make_input, settings, step.at)


def latency_variants(subjects: Subjects, bench: BenchResult) -> list[Variant]:
    """The variants of a benchmark alone: sizes and latency."""
    return [_variant(subjects, runner, None, None, bench) for runner in subjects.runners]


def _variant(
    subjects: Subjects, runner: Runner, macs: MacCount | None, comparison: Comparison | None, bench: BenchResult | None
) -> Variant:
    return variant_of(
        runner,
        size_bytes=subjects.bytes_of(runner),
        parameters=subjects.parameters_of(runner),
        macs=None if macs is None else macs.macs,
        comparison=comparison,
        bench=bench,
        file=subjects.file_of(runner),
    )


ODD = 10.0
"""Percent that two counts of multiply-accumulates may differ by: biases, which only ptflops counts, are less."""


def why_odd(macs: MacCount) -> str | None:
    """Where the count is missing, leaves something out, or is another than ptflops's; None where all is well."""
    if macs.macs is None:
        return f"multiply-accumulates were not counted: {macs.why}"
    if macs.ptflops is None:
        return f"multiply-accumulates leave out {', '.join(macs.uncounted)}" if macs.uncounted else None
    difference = macs.difference_percent
    if difference is None or abs(difference) < ODD:
        return None
    left_out = f"; it knows no count of {', '.join(macs.uncounted)}" if macs.uncounted else ""
    counts = f"{count_text(macs.macs)} by the shapes of the graph, {count_text(macs.ptflops)} by ptflops"
    return f"multiply-accumulates are {counts} ({difference:+.0f} %){left_out}"
