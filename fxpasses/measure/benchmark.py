"""Latency of several runners, measured so that they can be compared even on a busy machine.

A machine's speed changes over time (clock, temperature, other processes), by more than runners differ. So runners
alternate: each round times a block of calls of every runner in random order, and the next round uses the reverse order.
So no runner always follows the slowest one, which leaves cold caches. Within one round conditions are equal; the median
over rounds of the ratio of two times is far more stable than the ratio of means. Each block begins with 20 ms of calls
that are not timed, so each runner is measured with its own data in the caches, as in production.

Times are of whole calls, from tensor to tensor, by ``time.perf_counter_ns``; those of a GPU by its own events.
"""

from __future__ import annotations

import gc
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol, runtime_checkable

from torch import Tensor

from fxpasses.errors import InputError

from .accuracy import Progress
from .latency import BenchResult, Cell
from .runners import Runner, torch_threads

MakeInput = Callable[[int], "Tensor | tuple[Tensor, ...]"]
"""Input of a given batch size."""
Meter = Callable[[Runner], float | None]
"""Function that returns the joules used so far by the runner's device, from any start; None if unreadable."""


@runtime_checkable
class TimesItself(Protocol):
    """A runner that measures its own times, since the clock of the CPU cannot measure them."""

    def nanoseconds(self, inputs: tuple[Tensor, ...], calls: int) -> tuple[int, ...]:
        """Times of ``calls`` calls in nanoseconds, one call after the other."""


CALLS_PER_BLOCK = 5
WARM_UP_CALLS = 3
"""Calls before the first round, in which oneDNN and onnxruntime choose kernels and allocate memory."""

SETTLING_NS = 20_000_000
"""Time of the untimed calls of a runner before each block, in ns; at least one call is made.

Caches fill slowly: after another net, the first calls take longer (docs/lab_notes.md). Threads of the other runtime may
also still spin for this time (libgomp: 300 000 pauses).
"""


@dataclass(frozen=True)
class BenchSettings:
    """Extent of a benchmark.

    Attributes:
        batches: batch sizes.
        threads: thread counts; each is combined with each batch size.
        runs: timed calls of each runner, rounded up to whole blocks of ``CALLS_PER_BLOCK``.
        min_seconds: go on beyond ``runs`` until all runners together have run that long.
        max_seconds: stop short of ``runs``, after ``least_rounds``, when they have run that long.
        least_rounds: are run however long they take.
        block_seconds: a block has as many calls as go into that time, one at least. A runner whose single call takes
            longer needs no settling, and takes part in the first ``least_rounds`` alone.
        slow_ratio: so does a runner whose call takes this many times as long as the fastest one's: rounds are short
            without it, and more of them tell the others apart.

    Raises:
        InputError: a number is not positive, or a list is empty.
    """

    batches: tuple[int, ...] = (1,)
    threads: tuple[int, ...] = (1,)
    runs: int = 100
    min_seconds: float = 0.0
    max_seconds: float = 60.0
    least_rounds: int = 1
    block_seconds: float = math.inf
    slow_ratio: float = math.inf

    def __post_init__(self) -> None:
        counts = (("runs", (self.runs,)), ("rounds at least", (self.least_rounds,)))
        for what, numbers in (("batch sizes", self.batches), ("threads", self.threads), *counts):
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

    def is_done(self, rounds: int, timed: int, seconds: float) -> bool:
        """Whether this number of rounds, of timed calls of each runner, and of seconds is enough."""
        if rounds < self.least_rounds:
            return False
        return seconds >= self.max_seconds or (timed >= self.runs and seconds >= self.min_seconds)

    def calls_of(self, seconds: float, calls: int) -> int:
        """The number of calls in a block: ``calls``, or fewer if calls of ``seconds`` each would take too long."""
        return calls if seconds * calls <= self.block_seconds else max(1, int(self.block_seconds / seconds))


def benchmark(
    runners: Sequence[Runner],
    make_input: MakeInput,
    settings: BenchSettings | None = None,
    progress: Progress | None = None,
    meter: Meter | None = None,
) -> BenchResult:
    """Time every runner at every batch size and thread count.

    Args:
        runners: with different names; their own thread count does not matter.
        make_input: the input for a batch size, the same for all runners.
        settings: defaults to ``BenchSettings()``.
        progress: called after each round.
        meter: reads the energy used so far; it is read before and after each block.

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
                inputs = given if isinstance(given, tuple) else (given,)
                bench = _Cell(prepared, inputs, Cell(batch, threads), settings, meter)
                cells.append(bench.run(progress))
    return BenchResult(cells, {r.name: (r.runtime, r.precision) for r in runners})


@dataclass
class _Cell:
    """The measurement at one batch size and thread count; ``seconds`` is the time of a call of each runner."""

    runners: Sequence[Runner]
    inputs: tuple[Tensor, ...]
    cell: Cell
    settings: BenchSettings
    meter: Meter | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self, progress: Progress | None) -> Cell:
        for runner in self.runners:
            self.cell.rounds[runner.name] = []
            self._warm_up(runner)
        settings, started = self.settings, time.perf_counter()
        rounds, timed, orders = 0, 0, _orders(self.runners)
        what = f"latency, batch {self.cell.batch}, threads {self.cell.threads}"
        while not settings.is_done(rounds, timed, time.perf_counter() - started):
            calls = min(CALLS_PER_BLOCK, max(settings.runs - timed, 1))
            order = next(orders)
            self._round([r for r in order if rounds < settings.least_rounds or not self._is_slow(r)], calls)
            rounds, timed = rounds + 1, timed + calls
            if progress is not None:
                progress(what, min(timed, settings.runs), settings.runs)
        return self.cell

    def _warm_up(self, runner: Runner) -> None:
        for _ in range(WARM_UP_CALLS):
            begun = time.perf_counter()
            runner(*self.inputs)
            self.seconds[runner.name] = time.perf_counter() - begun
            if self.seconds[runner.name] > self.settings.block_seconds:
                return

    def _is_slow(self, runner: Runner) -> bool:
        least = min(self.settings.block_seconds, self.settings.slow_ratio * min(self.seconds.values()))
        return self.seconds[runner.name] > least

    def _round(self, order: Sequence[Runner], calls: int) -> None:
        for runner in order:
            if not self._is_slow(runner):
                self._settle(runner)
            count = self.settings.calls_of(self.seconds[runner.name], calls)
            before = self._joules(runner)
            self.cell.rounds[runner.name].append(self._block(runner, count))
            after = self._joules(runner)
            if before is not None and after is not None:
                self.cell.joules.setdefault(runner.name, []).append((after - before) / count)

    def _joules(self, runner: Runner) -> float | None:
        return None if self.meter is None else self.meter(runner)

    def _settle(self, runner: Runner) -> None:
        begun = time.perf_counter_ns()
        runner(*self.inputs)
        while time.perf_counter_ns() - begun < SETTLING_NS:
            runner(*self.inputs)

    def _block(self, runner: Runner, calls: int) -> tuple[int, ...]:
        """Nanoseconds of each of ``calls`` calls."""
        if isinstance(runner, TimesItself):
            return runner.nanoseconds(self.inputs, calls)
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
