"""Latency of several runners, measured so that they can be compared even on a busy machine.

A machine's speed changes over time (clock, temperature, other processes), by more than runners differ. So runners
alternate: each round times a block of calls of every runner in random order, and the next round uses the reverse order.
So no runner always follows the slowest one, which leaves cold caches (MobileNetV2 after its own float model: 5 %).
Within one round conditions are equal; the median over rounds of the ratio of two times is far more stable than the
ratio of means. Each block begins with 20 ms of calls that are not timed, so each runner is measured with its own data
in the caches, as in production.

Times are of whole calls, from tensor to tensor, by ``time.perf_counter_ns``.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

from torch import Tensor

from fxpasses.errors import InputError

from .accuracy import Progress
from .latency import BenchResult, Cell
from .runners import Runner, torch_threads

MakeInput = Callable[[int], "Tensor | tuple[Tensor, ...]"]
"""Input of a given batch size."""

CALLS_PER_BLOCK = 5
WARM_UP_CALLS = 3
"""Calls before the first round, in which oneDNN and onnxruntime choose kernels and allocate memory."""

SETTLING_NS = 20_000_000
"""Time of the untimed calls of a runner before each block, in ns; at least one call is made.

Caches fill slowly: after another net, calls of MobileNetV2 took 3.0, 2.5, 2.3, 2.2 ... and finally 2.0 ms in PyTorch,
2.2, 1.85, 1.7 ... and finally 1.6 ms in onnxruntime. Threads of the other runtime may also still spin for this time
(libgomp: 300 000 pauses).
"""


@dataclass(frozen=True)
class BenchSettings:
    """Extent of a benchmark.

    Attributes:
        batches: batch sizes.
        threads: thread counts; each is combined with each batch size.
        runs: timed calls of each runner, rounded up to whole blocks of ``CALLS_PER_BLOCK``.
        min_seconds: continue beyond ``runs`` until all runners together have run for this time.
        max_seconds: stop before ``runs``, but after at least one round, once they have run for this time.

    Raises:
        InputError: a number is not positive, or a list is empty.
    """

    batches: tuple[int, ...] = (1,)
    threads: tuple[int, ...] = (1,)
    runs: int = 100
    min_seconds: float = 0.0
    max_seconds: float = 60.0

    def __post_init__(self) -> None:
        for what, numbers in (("batch sizes", self.batches), ("threads", self.threads), ("runs", (self.runs,))):
            if not numbers or min(numbers) < 1:
                raise InputError(
                    f"{what}: {', '.join(map(str, numbers)) or 'none'}",
                    why="at least one is needed, and each must be positive",
                    fix="ask for 1 or more",
                )
        if not 0 <= self.min_seconds <= self.max_seconds:
            raise InputError(
                f"min_seconds {self.min_seconds}, max_seconds {self.max_seconds}",
                why="the first must not be negative, nor above the second",
                fix="raise max_seconds",
            )

    def is_done(self, timed: int, seconds: float) -> bool:
        """Whether ``timed`` timed calls of each runner in ``seconds`` are enough."""
        return seconds >= self.max_seconds or (timed >= self.runs and seconds >= self.min_seconds)


def benchmark(
    runners: Sequence[Runner],
    make_input: MakeInput,
    settings: BenchSettings | None = None,
    progress: Progress | None = None,
) -> BenchResult:
    """Time every runner at every batch size and thread count.

    Args:
        runners: with different names; their own thread count does not matter.
        make_input: the input for a batch size, the same for all runners.
        settings: defaults to ``BenchSettings()``.
        progress: called after each round.

    Raises:
        InputError: a runner refuses the input.
    """
    settings = settings or BenchSettings()
    assert runners and len({r.name for r in runners}) == len(runners), "runners need names of their own"
    cells = []
    for threads in settings.threads:
        prepared = [runner.at_threads(threads) for runner in runners]
        with torch_threads(threads), _no_garbage_collection():
            for batch in settings.batches:
                given = make_input(batch)
                bench = _Cell(prepared, given if isinstance(given, tuple) else (given,), Cell(batch, threads))
                cells.append(bench.run(settings, progress))
    return BenchResult(cells, {r.name: (r.runtime, r.precision) for r in runners})


@dataclass
class _Cell:
    """Measurement at one batch size and thread count."""

    runners: Sequence[Runner]
    inputs: tuple[Tensor, ...]
    cell: Cell
    started: float = field(default_factory=time.perf_counter)

    def run(self, settings: BenchSettings, progress: Progress | None) -> Cell:
        for runner in self.runners:
            self.cell.rounds[runner.name] = []
            for _ in range(WARM_UP_CALLS):
                runner(*self.inputs)
        self.started, timed, orders = time.perf_counter(), 0, _orders(self.runners)
        what = f"latency, batch {self.cell.batch}, threads {self.cell.threads}"
        while not settings.is_done(timed, time.perf_counter() - self.started):
            calls = min(CALLS_PER_BLOCK, max(settings.runs - timed, 1))
            self._round(next(orders), calls)
            timed += calls
            if progress is not None:
                progress(what, min(timed, settings.runs), settings.runs)
        return self.cell

    def _round(self, order: Sequence[Runner], calls: int) -> None:
        for runner in order:
            self._settle(runner)
            self.cell.rounds[runner.name].append(self._block(runner, calls))

    def _settle(self, runner: Runner) -> None:
        begun = time.perf_counter_ns()
        runner(*self.inputs)
        while time.perf_counter_ns() - begun < SETTLING_NS:
            runner(*self.inputs)

    def _block(self, runner: Runner, calls: int) -> tuple[int, ...]:
        """Nanoseconds of each of ``calls`` calls."""
        ticks = [time.perf_counter_ns()]
        for _ in range(calls):
            runner(*self.inputs)
            ticks.append(time.perf_counter_ns())
        return tuple(after - before for before, after in pairwise(ticks))


def _orders(runners: Sequence[Runner]) -> Iterator[list[Runner]]:
    """Orders of the runners: random with a fixed seed, each followed by its reverse."""
    generator, order = random.Random(0), list(runners)
    while True:
        generator.shuffle(order)
        yield order
        yield order[::-1]


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Disable garbage collection, whose time would count as a runner's."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
