"""The search for the cheapest int8 model, on invented measurements; real measurements are those of the settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from sensitivity_cases import calibrated

from fxpasses.errors import InputError
from fxpasses.quantization.config import QuantConfig
from fxpasses.sensitivity.pages.pareto_plot import pareto_frontier
from fxpasses.sensitivity.scoring import Score
from fxpasses.sensitivity.search.accuracy_search import Goal, Latency, Search, Trial
from fxpasses.sensitivity.units import Unit

FLOAT = Score(500, 90.0, 0.3, 100.0, None)
NOISY = {"n0": 4.0, "n1": 2.0, "n2": 1.0, "n3": 0.4, "n4": 0.2, "n5": 0.1, "n6": 0.0, "n7": 0.0}
"""Points that each unit costs in int8."""


def unit(name: str) -> Unit:
    return Unit(name, None, "add", name, (), (name,), 0)


UNITS = tuple(unit(name) for name in NOISY)
Drop = Callable[[QuantConfig, Sequence[Unit]], float]


def sum_of_noise(config: QuantConfig, in_float: Sequence[Unit]) -> float:
    return sum(NOISY.values()) - sum(NOISY[unit.name] for unit in in_float)


@dataclass
class Invented:
    """Invented measurements: accuracy by a formula; each layer in float takes a millisecond."""

    drop: Drop = sum_of_noise
    width: int = 1
    asked: list[tuple[QuantConfig, tuple[Unit, ...]]] = field(default_factory=list)
    ranked: int = 0
    timed: int = 0
    speed: Callable[[int], float] = lambda floats: 3 - 0.2 * floats

    def scores(self, choices: Sequence[tuple[QuantConfig, tuple[Unit, ...]]]) -> list[Score]:
        self.asked += choices
        drops = [self.drop(config, in_float) for config, in_float in choices]
        return [Score(500, 90.0 - drop, 0.3, 100 - drop, 30 - drop) for drop in drops]

    def noise(self, config: QuantConfig, units: Sequence[Unit]) -> list[float]:
        self.ranked += 1
        return [NOISY[unit.name] for unit in units]

    def latency(self, trial: Trial) -> Latency:
        self.timed += 1
        return Latency(1 + len(trial.in_float), self.speed(len(trial.in_float)))


def search(measure: Invented, max_drop: float, **goal: object) -> tuple[Search, Trial]:
    found = Search(FLOAT, UNITS, measure, Goal(max_drop, **goal))  # type: ignore[arg-type]
    return found, found.run(QuantConfig(observer="histogram"))


def names(trial: Trial) -> set[str]:
    return {unit.name for unit in trial.in_float}


def test_where_int8_holds_no_layer_is_asked_about() -> None:
    measure = Invented()
    _, chosen = search(measure, 8.0)
    assert chosen.holds and chosen.in_float == ()
    assert measure.ranked == 0 and measure.timed == 1


def test_the_observer_of_most_sqnr_within_the_budget_wins() -> None:
    best = {"minmax": 0.1, "entropy": 0.05}
    measure = Invented(lambda config, _: best.get(config.observer, 0.5))
    _, chosen = search(measure, 0.2)
    assert chosen.config.observer == "entropy"


def test_a_repair_is_kept_only_if_it_helps() -> None:
    for gain, kept in ((0.1, "mse"), (-0.1, "minmax")):
        measure = Invented(lambda config, _, gain=gain: 0.5 - gain * (config.weight_search == "mse"))  # type: ignore[misc]
        _, chosen = search(measure, 1.0)
        assert chosen.config.weight_search == kept


@pytest.mark.parametrize("width", [1, 2, 3, 8])
@pytest.mark.parametrize(("max_drop", "floats"), [(4.0, 1), (1.7, 2), (0.75, 3), (0.3, 4), (0.15, 5), (0.05, 6)])
def test_the_fewest_of_the_noisiest_layers_go_back_to_float(width: int, max_drop: float, floats: int) -> None:
    found, chosen = search(Invented(width=width), max_drop)
    assert names(chosen) == {f"n{i}" for i in range(floats)}
    assert all(trial.drop > max_drop for trial in found.trials if len(trial.in_float) < floats)


def test_layers_that_need_not_be_float_are_given_back() -> None:
    """Both n0 and n2 together cause the loss; n1 is noisy on its own and harmless."""

    def drop(config: QuantConfig, in_float: Sequence[Unit]) -> float:
        return 2.0 if {"n0", "n2"} - {unit.name for unit in in_float} else 0.0

    _, chosen = search(Invented(drop), 0.5)
    assert names(chosen) == {"n0", "n2"}


def test_given_back_no_more_often_than_allowed() -> None:
    found, _ = search(Invented(), 0.05, most_returns=2)
    assert sum("back in int8" in trial.what for trial in found.trials) == 2


def test_of_what_holds_the_fastest_by_measurement_wins() -> None:
    """More layers in float are faster here, because single int8 layers need conversions."""

    def drop(config: QuantConfig, in_float: Sequence[Unit]) -> float:
        return 0.0 if len(in_float) >= 1 else 3.0

    measure = Invented(drop, width=8, speed=lambda floats: 1.0 + floats)
    found, chosen = search(measure, 0.5)
    held = {len(trial.in_float) for trial in found.trials if trial.holds}
    assert len(chosen.in_float) == max(held)


def test_all_int8_is_timed_for_comparison_even_where_it_does_not_hold() -> None:
    found, chosen = search(Invented(), 0.75)
    assert not found.trials[0].holds and found.trials[0].latency == Latency(1, 3.0)
    assert chosen.latency is not None


def test_nothing_holds() -> None:
    with pytest.raises(InputError, match=r"the best loses 5\.00"):
        search(Invented(lambda config, in_float: 5.0 if config.observer == "minmax" else 6.0), 1.0)


def test_a_budget_that_cannot_be_meant() -> None:
    with pytest.raises(InputError, match="points of accuracy"):
        Goal(-0.1)


def test_settings_of_a_trial_keep_its_units_in_float() -> None:
    units = calibrated().units[:2]
    trial = Trial("x", calibrated().config, units, FLOAT, 0.0, True)
    assert trial.settings == calibrated().config_of(*units)


def test_how_sure_a_drop_is() -> None:
    """5 of 500 images changed class: their difference has a standard error of at most sqrt(5) images."""
    trial = Trial("x", QuantConfig(), (), Score(500, 89.0, 0.3, 99.0, 30.0), 1.0, True)
    assert trial.uncertainty == pytest.approx(100 * 5**0.5 / 500)


def test_the_frontier() -> None:
    points = [(1.0, 88.0), (2.0, 87.0), (2.0, 90.0), (3.0, 89.0), (4.0, 91.0), (1.0, 86.0)]
    assert pareto_frontier(points) == [(1.0, 88.0), (2.0, 90.0), (4.0, 91.0)]
    assert pareto_frontier([]) == []
