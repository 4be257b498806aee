"""The benchmark with a simulated clock: the order of calls, and that a machine that becomes slower does not matter."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby, pairwise

import pytest
import torch
from stub_runners import StubRunner
from torch import Tensor

from fxpasses.errors import InputError
from fxpasses.measure import benchmark as module
from fxpasses.measure.benchmark import BenchSettings, benchmark

EXACT = 1e-9

pytestmark = pytest.mark.usefixtures("few_objects")


@dataclass
class Machine:
    """Clock that advances when a runner is called, by its cost times the current slowness of the machine."""

    slowing_per_second: float = 0.0
    seconds: float = 0.0
    calls: list[str] = field(default_factory=list)

    def perf_counter_ns(self) -> int:
        return round(self.seconds * 1e9)

    def perf_counter(self) -> float:
        return self.seconds

    def runner(self, name: str, cost: float, precision: str = "int8", runtime: str = "torch") -> StubRunner:
        def run(x: Tensor) -> Tensor:
            self.calls.append(name)
            self.seconds += cost * (1 + self.slowing_per_second * self.seconds)
            return x

        return StubRunner(name, run, precision, runtime)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(module, "time", made)
    return made


def one_item(batch: int) -> Tensor:
    return torch.zeros(batch, 1)


def test_runners_take_turns_in_blocks_and_every_order_is_reversed(machine: Machine) -> None:
    runners = [machine.runner("a", 0.001), machine.runner("b", 0.002)]
    benchmark(runners, one_item, BenchSettings(runs=10))
    untimed = module.SETTLING_NS // 1_000_000
    a, b = "a" * (untimed + module.CALLS_PER_BLOCK), "b" * (untimed // 2 + module.CALLS_PER_BLOCK)
    warm_up = ["a"] * module.WARM_UP_CALLS + ["b"] * module.WARM_UP_CALLS
    assert machine.calls in ([*warm_up, *a, *b, *b, *a], [*warm_up, *b, *a, *a, *b])


def test_everyone_comes_behind_everyone_else(machine: Machine) -> None:
    benchmark([machine.runner(name, 0.1) for name in "abcd"], one_item, BenchSettings(runs=150, max_seconds=1e6))
    turns = [name for name, _ in groupby(machine.calls[4 * module.WARM_UP_CALLS :])]
    behind = Counter(pairwise(turns))
    assert len(behind) == 4 * 3 and min(behind.values()) >= 3


@pytest.mark.parametrize("runs", [1, 5, 12])
def test_each_runner_is_timed_as_often_as_asked(machine: Machine, runs: int) -> None:
    result = benchmark([machine.runner("a", 0.001)], one_item, BenchSettings(runs=runs))
    assert result.latency("a")[0]["runs"] == runs


def test_times_are_told_under_the_keys_of_the_report(machine: Machine) -> None:
    entry = benchmark([machine.runner("a", 0.004)], one_item, BenchSettings(batches=(8,), runs=10)).latency("a")[0]
    assert entry == {
        "batch": 8, "threads": 1, "runs": 10, "mean_ms": 4.0, "std_ms": 0.0, "p50_ms": 4.0, "p90_ms": 4.0,
        "p99_ms": 4.0, "items_per_s": 2000.0,
    }  # fmt: skip


def test_a_machine_that_slows_down_does_not_change_the_ratio(machine: Machine) -> None:
    machine.slowing_per_second = 1.0  # twice as slow after a second
    runners = [machine.runner("slow", 0.004, "fp32"), machine.runner("fast", 0.001)]
    result = benchmark(runners, one_item, BenchSettings(runs=200))
    ratio = result.ratio("slow", "fast")
    assert max(result.cell().milliseconds("slow")) > 2 * 4.0, "the machine did not slow down enough to matter"
    assert ratio.median == pytest.approx(4, rel=0.01)
    assert ratio.q25 == pytest.approx(4, rel=0.05)
    assert ratio.rounds == 200 / module.CALLS_PER_BLOCK


def test_speedup_is_against_the_float_runner_of_the_same_runtime(machine: Machine) -> None:
    runners = [
        machine.runner("t32", 0.008, "fp32"),
        machine.runner("t8", 0.002),
        machine.runner("o32", 0.003, "fp32", "onnxruntime"),
        machine.runner("o8", 0.001, "int8", "onnxruntime"),
    ]
    result = benchmark(runners, one_item, BenchSettings(runs=20))
    assert result.latency("t8")[0]["speedup_vs_fp32"] == pytest.approx(4, rel=EXACT)
    assert result.latency("o8")[0]["speedup_vs_fp32"] == pytest.approx(3, rel=EXACT)
    assert result.latency("o8")[0]["speedup_baseline"] == "o32"
    assert "speedup_vs_fp32" not in result.latency("o32")[0]


def test_without_a_float_runner_of_the_runtime_there_is_no_speedup(machine: Machine) -> None:
    runners = [machine.runner("t32", 0.008, "fp32"), machine.runner("o8", 0.001, "int8", "onnxruntime")]
    assert "speedup_vs_fp32" not in benchmark(runners, one_item, BenchSettings(runs=5)).latency("o8")[0]


def test_every_batch_size_meets_every_thread_count(machine: Machine) -> None:
    seen: set[tuple[int, int]] = set()
    busy = machine.runner("a", 0.03)

    def run(x: Tensor) -> Tensor:
        seen.add((len(x), torch.get_num_threads()))
        return busy(x)

    before = torch.get_num_threads()
    result = benchmark([StubRunner("a", run)], one_item, BenchSettings(batches=(1, 4), threads=(1, 2), runs=1))
    assert seen == {(1, 1), (4, 1), (1, 2), (4, 2)}
    assert [(e["batch"], e["threads"]) for e in result.latency("a")] == [(1, 1), (4, 1), (1, 2), (4, 2)]
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("cost", [0.004, 0.1])
def test_nothing_is_timed_while_caches_are_still_another_nets(machine: Machine, cost: float, threads: int) -> None:
    """One call of a large net fills the caches."""
    benchmark([machine.runner("a", cost)], one_item, BenchSettings(threads=(threads,), runs=1))
    untimed = max(1, module.SETTLING_NS / 1e9 / cost)
    assert len(machine.calls) == module.WARM_UP_CALLS + untimed + 1


def test_time_can_run_out_and_can_be_asked_for(machine: Machine) -> None:
    short = benchmark([machine.runner("a", 1.0)], one_item, BenchSettings(runs=1000, max_seconds=10.0))
    assert short.latency("a")[0]["runs"] == 2 * module.CALLS_PER_BLOCK
    long = benchmark([machine.runner("b", 1.0)], one_item, BenchSettings(runs=1, min_seconds=10.0))
    assert len(long.cell().milliseconds("b")) == 5


def test_one_round_is_run_however_short_the_time(machine: Machine) -> None:
    found = benchmark([machine.runner("a", 1.0)], one_item, BenchSettings(runs=1000, max_seconds=0.0))
    assert found.latency("a")[0]["runs"] == module.CALLS_PER_BLOCK


def test_so_many_rounds_are_run_however_long_they_take(machine: Machine) -> None:
    found = benchmark([machine.runner("a", 1.0)], one_item, BenchSettings(runs=1, max_seconds=1.0, least_rounds=7))
    assert len(found.cell().rounds["a"]) == 7


def test_slow_runners_are_called_less_often(machine: Machine) -> None:
    runners = [machine.runner("fast", 0.03), machine.runner("slow", 0.3), machine.runner("slowest", 2.0)]
    settings = BenchSettings(runs=50, max_seconds=1e6, least_rounds=4, block_seconds=1.0)
    cell = benchmark(runners, one_item, settings).cell()
    calls = {name: [len(block) for block in blocks] for name, blocks in cell.rounds.items()}
    assert calls == {"fast": [5] * 10, "slow": [3] * 10, "slowest": [1] * 4}
    assert machine.calls.count("slowest") == 1 + 4, "one call warms it up, none settles it"
    assert len(cell.ratios("slowest", "fast")) == 4, "paired with the rounds it took part in"


def test_energy_is_read_around_blocks_alone(machine: Machine) -> None:
    result = benchmark(
        [machine.runner("a", 0.01), machine.runner("b", 0.02), machine.runner("c", 0.01)],
        one_item,
        BenchSettings(runs=10),
        meter=lambda runner: 3 * machine.seconds if runner.name != "c" else None,  # three watts
    )
    assert result.cell().joules["a"] == pytest.approx([0.03, 0.03], rel=EXACT)
    assert result.cell().joules["b"] == pytest.approx([0.06, 0.06], rel=EXACT)
    assert "c" not in result.cell().joules, "nothing is read of what it runs on"


def test_garbage_is_not_collected_meanwhile_and_is_again_afterwards(machine: Machine) -> None:
    states: list[bool] = []

    def run(x: Tensor) -> Tensor:
        states.append(gc.isenabled())
        machine.seconds += 0.001
        return x

    benchmark([StubRunner("a", run)], one_item, BenchSettings(runs=5))
    assert not any(states)
    assert gc.isenabled()


def test_progress_is_told(machine: Machine) -> None:
    told: list[tuple[str, int, int]] = []
    benchmark([machine.runner("a", 0.001)], one_item, BenchSettings(runs=7), lambda *now: told.append(now))
    assert told == [("latency, batch 1, threads 1", 5, 7), ("latency, batch 1, threads 1", 7, 7)]


def test_the_real_clock_measures_a_real_runner() -> None:
    runner = StubRunner("matmul", lambda x: torch.ones(64, 64) @ torch.ones(64, 64))
    entry = benchmark([runner], one_item, BenchSettings(runs=20)).latency("matmul")[0]
    assert 0 < float(str(entry["p50_ms"])) <= float(str(entry["p90_ms"])) <= float(str(entry["p99_ms"]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BenchSettings(runs=0), "runs: 0"),
        (lambda: BenchSettings(least_rounds=0), "rounds at least: 0"),
        (lambda: BenchSettings(batches=(1, 0)), "batch sizes: 1, 0"),
        (lambda: BenchSettings(threads=()), "threads: none"),
        (lambda: BenchSettings(min_seconds=2.0, max_seconds=1.0), r"min_seconds 2.0, max_seconds 1.0"),
        (lambda: BenchSettings(min_seconds=-1.0), "min_seconds -1.0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make: Callable[[], BenchSettings], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
