"""Runners on a GPU, as far as they can be tried without one: the CPU stands for it, and a clock for its events."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from fxpasses.measure.benchmark import BenchSettings, TimesItself, benchmark
from fxpasses.measure.gpu_runner import GpuRunner, gpu_runner
from fxpasses.measure.runners import torch_runner

CPU = torch.device("cpu")

pytestmark = pytest.mark.usefixtures("few_objects")


class Event:
    """A CUDA event by a clock that goes a millisecond at a time."""

    clock = itertools.count()

    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing
        self.at = -1

    def record(self) -> None:
        self.at = next(self.clock)

    def synchronize(self) -> None:
        assert self.at >= 0

    def elapsed_time(self, end: Event) -> float:
        return float(end.at - self.at)


class Twice(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return 2 * x, x


def test_it_gives_what_the_module_gives() -> None:
    runner, x = gpu_runner(Twice(), "int8", CPU), torch.ones(2, 3)
    assert runner.name == "torch int8" and runner.runtime == "torch" and not runner.module.training
    assert torch.equal(runner(x), 2 * x) and [y.shape for y in runner.outputs(x)] == [x.shape, x.shape]
    assert runner.at_threads(3).threads == 3 and isinstance(runner.at_threads(3), GpuRunner)


def test_benchmarks_take_its_own_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "Event", Event)
    timed, plain = gpu_runner(nn.Identity(), "int8", CPU), torch_runner(nn.Identity(), "fp32")
    assert isinstance(timed, TimesItself) and not isinstance(plain, TimesItself)
    found = benchmark([timed, plain], lambda batch: torch.ones(batch, 2), BenchSettings(runs=5))
    assert found.cell().milliseconds("torch int8") == [1.0] * 5
    assert found.cell().milliseconds("torch fp32") != [1.0] * 5
