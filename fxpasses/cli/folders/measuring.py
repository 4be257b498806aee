"""Accuracy, size and latency of artifacts, as the variants of a report; every command measures through this module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import fx

from fxpasses.measure.accuracy import Comparison, compare
from fxpasses.measure.benchmark import BenchSettings, MakeInput, benchmark
from fxpasses.measure.latency import BenchResult
from fxpasses.measure.model_size import MacCount, count_macs, count_parameters
from fxpasses.measure.runners import Runner
from fxpasses.reports.document import Variant, variant_of
from fxpasses.reports.numbers import count_text

from ..terminal import Terminal

if TYPE_CHECKING:
    from ..given import Input

FLOAT, INT8 = "fp32", "int8"
EVALUATION_BATCH = 25
SHORT_BENCHMARK = BenchSettings(runs=50, max_seconds=10.0)
"""Benchmark settings of ``quantize``: precise enough for a ratio. ``fxpasses bench`` takes more runs."""


@dataclass(frozen=True)
class Artifact:
    """One artifact to measure.

    Attributes:
        runner: runs it.
        graph: the graph to count weights on; None if it cannot be made again.
        size_bytes: size of its file; for a module in memory, of its weights alone.
        file: its name in the folder; None for a module in memory.
        macs: multiply-accumulates of one input; None if they were not counted.
    """

    runner: Runner
    graph: fx.GraphModule | None
    size_bytes: int | None
    file: str | None = None
    macs: int | None = None


@dataclass(frozen=True)
class Measured:
    """Measured artifacts as variants of a report, whether the data has labels, and latencies if they were measured."""

    variants: list[Variant]
    has_labels: bool
    latencies: BenchResult | None


def measure(artifacts: Sequence[Artifact], given: Input, images: int, bench: bool, terminal: Terminal) -> Measured:
    """Measure every artifact on at most ``images`` images and, if ``bench``, its latency in a short benchmark."""
    runners = [artifact.runner for artifact in artifacts]
    compared = compared_on(runners, given, min(images, given.data.evaluation_images), terminal)
    latencies = time_runners(runners, given.model.example_inputs, SHORT_BENCHMARK, terminal) if bench else None
    variants = [_variant(a, compared[a.runner.name], latencies) for a in artifacts]
    return Measured(variants, any(c.is_labelled for c in compared.values()), latencies)


def compared_on(runners: Sequence[Runner], given: Input, images: int, terminal: Terminal) -> dict[str, Comparison]:
    """Measure the accuracy of every runner on ``images`` images, by the metric asked for."""
    batches = given.data.evaluation(EVALUATION_BATCH, images)
    with terminal.step("accuracy", images) as step:
        dims = given.model.output_dims
        return compare(runners, batches, metric=given.metric, output_dims=dims, progress=step.at, total=images)


def time_runners(
    runners: Sequence[Runner], make_input: MakeInput, settings: BenchSettings, terminal: Terminal
) -> BenchResult:
    """Measure the latency of every runner on the same input."""
    with terminal.step("latency", settings.runs, timing=True) as step:
        return benchmark(runners, make_input, settings, step.at)


def latency_variants(artifacts: Sequence[Artifact], bench: BenchResult) -> list[Variant]:
    """Variants of a benchmark alone: sizes and latency."""
    return [_variant(artifact, None, bench) for artifact in artifacts]


def _variant(artifact: Artifact, comparison: Comparison | None, bench: BenchResult | None) -> Variant:
    return variant_of(
        artifact.runner,
        size_bytes=artifact.size_bytes,
        parameters=None if artifact.graph is None else count_parameters(artifact.graph),
        macs=artifact.macs,
        comparison=comparison,
        bench=bench,
        file=artifact.file,
    )


def macs_of(graph: fx.GraphModule, given: Input, terminal: Terminal) -> MacCount:
    """Count the multiply-accumulates of one input."""
    with terminal.step("count multiply-accumulates"):
        return count_macs(graph, given.model.example_inputs(batch=1))


ODD = 10.0
"""Percent by which two counts of multiply-accumulates may differ. Biases, which only ptflops counts, are less."""


def why_odd(macs: MacCount) -> str | None:
    """Sentence on a missing or incomplete count, or one that differs from that of ptflops; None if there is none."""
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
