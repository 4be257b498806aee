"""Times measured by :mod:`fxpasses.measure.benchmark`, and statistics of them.

Percentiles interpolate linearly between the measured times, so with fewer than 100 runs p99 depends mostly on the
slowest one. Throughput is ``batch / mean``: calls one after the other, none in parallel.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

from .runners import FLOAT_PRECISIONS

_NS_PER_MS = 1e6


@dataclass(frozen=True)
class PairedRatio:
    """Ratio of the times of two runners: median and quartiles over rounds."""

    median: float
    q25: float
    q75: float
    rounds: int


@dataclass
class Cell:
    """Nanoseconds of every timed call at one batch size and thread count, by runner and round."""

    batch: int
    threads: int
    rounds: dict[str, list[tuple[int, ...]]] = field(default_factory=dict)

    def milliseconds(self, name: str) -> list[float]:
        """All times of a runner in milliseconds."""
        return [ns / _NS_PER_MS for block in self.rounds[name] for ns in block]

    def ratio(self, slow: str, fast: str) -> PairedRatio:
        """Time of ``slow`` divided by time of ``fast``: a ratio of medians per round, so that drift cancels."""
        pairs = zip(self.rounds[slow], self.rounds[fast], strict=True)
        ratios = [statistics.median(a) / statistics.median(b) for a, b in pairs]
        return PairedRatio(percentile(ratios, 50), percentile(ratios, 25), percentile(ratios, 75), len(ratios))


@dataclass(frozen=True)
class BenchResult:
    """All times of one benchmark.

    Attributes:
        cells: one for each batch size and thread count.
        runners: (runtime, precision) by name, in the given order.
    """

    cells: list[Cell]
    runners: dict[str, tuple[str, str]]

    def cell(self, batch: int = 1, threads: int = 1) -> Cell:
        """The times at one batch size and thread count, which must have been measured."""
        return next(c for c in self.cells if (c.batch, c.threads) == (batch, threads))

    def ratio(self, slow: str, fast: str, batch: int = 1, threads: int = 1) -> PairedRatio:
        """Ratio of the times of two runners at one batch size and thread count; see :meth:`Cell.ratio`."""
        return self.cell(batch, threads).ratio(slow, fast)

    def latency(self, name: str) -> list[dict[str, object]]:
        """report.json's ``latency`` of one runner.

        Other precisions than fp32 also have ``speedup_vs_fp32`` with quartiles, against the fp32 runner of the same
        runtime.
        """
        float_name = self._float_twin(name)
        entries = []
        for cell in self.cells:
            entry: dict[str, object] = {"batch": cell.batch, "threads": cell.threads}
            entry |= summary(cell.milliseconds(name), cell.batch)
            if float_name is not None:
                ratio = cell.ratio(float_name, name)
                entry |= {
                    "speedup_vs_fp32": ratio.median,
                    "speedup_quartiles": [ratio.q25, ratio.q75],
                    "speedup_baseline": float_name,
                }
            entries.append(entry)
        return entries

    def _float_twin(self, name: str) -> str | None:
        runtime, precision = self.runners[name]
        if precision in FLOAT_PRECISIONS:
            return None
        twins = [n for n, (r, p) in self.runners.items() if r == runtime and p in FLOAT_PRECISIONS]
        return twins[0] if twins else None


def summary(times_ms: list[float], batch: int) -> dict[str, object]:
    """Statistics of the times of calls with ``batch`` items each, with report.json's keys."""
    mean = statistics.fmean(times_ms)
    return {
        "runs": len(times_ms),
        "mean_ms": mean,
        "std_ms": statistics.stdev(times_ms) if len(times_ms) > 1 else 0.0,
        "p50_ms": percentile(times_ms, 50),
        "p90_ms": percentile(times_ms, 90),
        "p99_ms": percentile(times_ms, 99),
        "items_per_s": batch * 1000 / mean,
    }


def percentile(values: list[float], percent: float) -> float:
    """The value below which ``percent`` of the values lie, interpolated linearly."""
    ordered = sorted(values)
    position = (len(ordered) - 1) * percent / 100
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)
