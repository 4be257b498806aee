"""Measure a matrix: every variant in turns at every batch size and thread count, each compared with the baseline.

Each round times a block of calls of every variant, and of the baseline twice (:mod:`.noise`). A row's ratio is the
median over rounds of the baseline's time over its own, both of one round; its interval is the order-statistic one
(:mod:`.intervals`), at a confidence of each row that makes all rows of the matrix hold together with ``CONFIDENCE``.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..accuracy import Progress
from ..benchmark import BenchSettings, MakeInput, benchmark
from ..latency import Cell
from ..runners import Runner
from .energy import Meters
from .intervals import Interval, each_of, least_values, median_interval
from .noise import Noise, noise_of
from .variants import MatrixVariant
from .verdicts import BASELINE, verdict

CONFIDENCE = 0.95
AGAIN = "again"
BLOCK_SECONDS = 0.5
SLOW_RATIO = 10.0
"""A variant that takes this many times as long as the fastest is measured in as many rounds as an interval needs."""


@dataclass(frozen=True)
class Row:
    """One variant at one setting.

    Attributes:
        ratio: ratio of the baseline's time to the variant's; None for the baseline itself.
        millijoules: energy of one call, the median over rounds; None if energy cannot be read.
    """

    variant: MatrixVariant
    batch: int
    threads: int
    times_ms: list[float]
    ratio: Interval | None
    verdict: str
    millijoules: float | None = None


@dataclass(frozen=True)
class Matrix:
    """Measurements on this machine; ``confidence`` is the confidence of the interval of each row."""

    rows: list[Row]
    noise: dict[tuple[int, int], Noise]
    baseline: str
    confidence: float


def measure_matrix(
    variants: Sequence[MatrixVariant],
    baseline: MatrixVariant,
    twin: Runner,
    make_input: MakeInput,
    settings: BenchSettings,
    meters: Meters | None = None,
    progress: Progress | None = None,
) -> Matrix:
    """Measure all variants.

    Args:
        variants: their names differ; ``baseline`` is one of them.
        twin: a copy of the baseline with its own name: another session of the file, or a copy of the module.
        settings: settings of the timing; at least as many rounds are run as an interval needs.

    Raises:
        InputError: a runner refuses the input.
    """
    places = len(settings.batches) * len(settings.threads)
    confidence = each_of((len(variants) - 1) * places, CONFIDENCE)
    least = max(settings.least_rounds, least_values(confidence))
    block = min(settings.block_seconds, BLOCK_SECONDS)
    settings = replace(settings, least_rounds=least, block_seconds=block, slow_ratio=SLOW_RATIO)
    devices = {variant.name: variant.device for variant in variants} | {twin.name: baseline.device}
    meter = None if meters is None else lambda runner: meters.joules(devices[runner.name])
    runners = [*(variant.runner for variant in variants), twin]
    found = benchmark(runners, make_input, settings, progress, meter)
    noise = {(c.batch, c.threads): noise_of(c.ratios(baseline.name, twin.name), confidence) for c in found.cells}
    rows = [
        _row(cell, variant, baseline, noise[cell.batch, cell.threads], confidence)
        for cell in found.cells
        for variant in variants
    ]
    return Matrix(rows, noise, baseline.name, confidence)


def _row(cell: Cell, variant: MatrixVariant, baseline: MatrixVariant, noise: Noise, confidence: float) -> Row:
    ratio, result = None, BASELINE
    if variant is not baseline:
        ratio = median_interval(cell.ratios(baseline.name, variant.name), confidence)
        result = verdict(ratio, noise.margin)
    joules = cell.joules.get(variant.name)
    used = None if not joules else 1000 * statistics.median(joules)
    return Row(variant, cell.batch, cell.threads, cell.milliseconds(variant.name), ratio, result, used)
