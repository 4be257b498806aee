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
    """Nanoseconds of every timed call at one batch size and thread count: by runner, by round.

    ``joules`` holds the energy of a call, by runner and by round, if a meter was read.
    """

    batch: int
    threads: int
    rounds: dict[str, list[tuple[int, ...]]] = field(default_factory=dict)
    joules: dict[str, list[float]] = field(default_factory=dict)

    def milliseconds(self, name: str) -> list[float]:
        """All times of a runner in milliseconds."""
        return [ns / _NS_PER_MS for block in self.rounds[name] for ns in block]

    def ratio(self, slow: str, fast: str) -> PairedRatio:
        """Time of ``slow`` divided by time of ``fast``: median and quartiles over rounds."""
        ratios = self.ratios(slow, fast)
        return PairedRatio(percentile(ratios, 50), percentile(ratios, 25), percentile(ratios, 75), len(ratios))

    def ratios(self, slow: str, fast: str) -> list[float]:
        """Time of ``slow`` over time of ``fast``: one ratio of medians per round, so that drift cancels.

        A runner that took part in the first rounds only is compared in those rounds.
        """
        pairs = zip(self.rounds[slow], self.rounds[fast], strict=False)
        return [statistics.median(a) / statistics.median(b) for a, b in pairs]


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

    def to_json(self) -> dict[str, object]:
        """The statistics of every runner by its name, ready for JSON."""
        return {
            name: {"runtime": runtime, "precision": precision, "latency": self.latency(name)}
            for name, (runtime, precision) in self.runners.items()
        }

    def __repr__(self) -> str:
        """A line for each runner at each batch size and thread count, in milliseconds."""
        width = max(map(len, self.runners), default=0)
        lines = []
        for cell in self.cells:
            lines.append(f"batch {cell.batch}, threads {cell.threads}")
            for name in self.runners:
                p50, p90, p99 = (percentile(cell.milliseconds(name), percent) for percent in (50, 90, 99))
                lines.append(f"  {name:<{width}}  p50 {p50:.3f} ms  p90 {p90:.3f} ms  p99 {p99:.3f} ms")
        return "\n".join(lines)

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
