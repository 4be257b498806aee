"""A whole matrix on simulated machines: right and repeatable verdicts, and a warning on a noisy machine."""

from __future__ import annotations

import pytest
from simulated_machine import SimulatedMachine, measured

from fxpasses.measure.matrix.energy import EnergySource, Meters
from fxpasses.measure.matrix.measuring import Matrix
from fxpasses.measure.matrix.verdicts import BASELINE, FASTER, NO_DIFFERENCE, SLOWER

COSTS = {"base": 0.008, "half": 0.004, "tenth less": 0.0072, "same": 0.008, "a bit more": 0.0081, "much more": 0.9}
RIGHT = {
    ("base", BASELINE), ("half", FASTER), ("tenth less", FASTER), ("same", NO_DIFFERENCE),
    ("a bit more", NO_DIFFERENCE), ("much more", SLOWER),
}  # fmt: skip

pytestmark = pytest.mark.usefixtures("few_objects")


def verdicts(matrix: Matrix) -> set[tuple[str, str]]:
    return {(row.variant.name, row.verdict) for row in matrix.rows}


@pytest.mark.parametrize("seed", range(4))
def test_verdicts_are_right_and_do_not_flip(seed: int) -> None:
    """The machine's speed drifts by a tenth in a minute, with jitter, and with other load from time to time."""
    first, second = (measured(SimulatedMachine(2 * seed + run), COSTS) for run in range(2))
    assert verdicts(first) == verdicts(second) == RIGHT
    assert not any(noise.why for noise in (*first.noise.values(), *second.noise.values()))


def test_close_to_the_margin_no_verdict_is_ever_reversed() -> None:
    near = {"base": 0.008, "at it": 0.008 / 1.03, "beyond it": 0.008 * 1.035, "within it": 0.008 * 1.025}
    seen: dict[str, set[str]] = {name: set() for name in near}
    for seed in range(6):
        for name, said in verdicts(measured(SimulatedMachine(seed), near)):
            seen[name].add(said)
    assert seen["at it"] <= {FASTER, NO_DIFFERENCE}
    assert seen["beyond it"] | seen["within it"] <= {SLOWER, NO_DIFFERENCE}


def test_a_noisy_machine_is_told_and_decides_nothing_small() -> None:
    wild = SimulatedMachine(3, jitter=0.5, neighbours=0.3)
    found = measured(wild, COSTS)
    why = found.noise[1, 1].why
    assert why is not None and ("differs from itself" in why or "scatter" in why)
    assert ("tenth less", NO_DIFFERENCE) in verdicts(found) and ("much more", SLOWER) in verdicts(found)


def test_slow_rows_take_part_in_as_many_rounds_as_an_interval_needs() -> None:
    matrix = measured(SimulatedMachine(0), COSTS)
    rounds = {row.variant.name: row.ratio.values for row in matrix.rows if row.ratio is not None}
    assert rounds["half"] == 20 and 6 <= rounds["much more"] < 12
    assert all(row.ratio is None or row.ratio.low is not None for row in matrix.rows)


def test_a_row_far_from_the_others_does_not_make_rounds_long() -> None:
    matrix = measured(SimulatedMachine(0), {"base": 0.008, "half": 0.004, "forty times": 0.16})
    rounds = {row.variant.name: row.ratio.values for row in matrix.rows if row.ratio is not None}
    assert rounds["half"] == 20 and 6 <= rounds["forty times"] < 12
    assert ("forty times", SLOWER) in verdicts(matrix)


def test_energy_is_of_one_call() -> None:
    machine = SimulatedMachine(0, jitter=0.0, drift=0.0, neighbours=0.0)
    meters = Meters({"cpu": EnergySource("a meter of 10 watts", lambda: 10 * machine.seconds)})
    found = measured(machine, {"base": 0.008, "half": 0.004}, meters)
    used = {row.variant.name: row.millijoules for row in found.rows}
    assert used == {"base": pytest.approx(80), "half": pytest.approx(40)}


def test_a_runner_that_is_not_metered_has_no_energy() -> None:
    found = measured(SimulatedMachine(0), {"base": 0.008, "half": 0.004}, Meters({}))
    assert [row.millijoules for row in found.rows] == [None, None]
