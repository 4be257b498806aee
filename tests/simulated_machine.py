"""A machine whose clock advances by what runners cost, with drift, jitter and neighbours: no benchmark waits."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
import torch
from stub_runners import StubRunner
from torch import Tensor

from fxpasses.measure import benchmark as clocked
from fxpasses.measure.benchmark import BenchSettings
from fxpasses.measure.matrix.energy import Meters
from fxpasses.measure.matrix.measuring import Matrix, measure_matrix
from fxpasses.measure.matrix.variants import MatrixVariant


@dataclass
class SimulatedMachine:
    """Stands in for the module ``time``.

    Attributes:
        jitter: standard deviation of the logarithm of each call's time.
        drift: how much slower the machine is after a simulated minute.
        neighbours: share of calls that take three times as long.
    """

    seed: int
    jitter: float = 0.02
    drift: float = 0.1
    neighbours: float = 0.02
    seconds: float = 0.0
    _random: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        self._random.seed(self.seed)

    def perf_counter_ns(self) -> int:
        return round(self.seconds * 1e9)

    def perf_counter(self) -> float:
        return self.seconds

    def runner(self, name: str, cost: float, precision: str = "int8", runtime: str = "torch") -> StubRunner:
        """A runner of so many seconds a call on a quiet machine."""

        def run(x: Tensor) -> Tensor:
            noise = self._random.lognormvariate(0.0, self.jitter) * (1 + self.drift * self.seconds / 60)
            self.seconds += cost * noise * (3 if self._random.random() < self.neighbours else 1)
            return x

        return StubRunner(name, run, precision, runtime)


SETTINGS = BenchSettings(runs=100, max_seconds=1e6)


def one_item(batch: int) -> Tensor:
    return torch.zeros(batch, 1)


def measured(machine: SimulatedMachine, costs: dict[str, float], meters: Meters | None = None) -> Matrix:
    """The matrix of runners of these costs; the first is the baseline."""
    variants = [MatrixVariant(machine.runner(name, cost)) for name, cost in costs.items()]
    twin = machine.runner(f"{variants[0].name} again", next(iter(costs.values())))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clocked, "time", machine)
        return measure_matrix(variants, variants[0], twin, one_item, SETTINGS, meters)
