from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fxpasses import InputError
from fxpasses.quantization.ranges.observer_spec import OBSERVER_NAMES, ObserverSpec, parse_observer
from fxpasses.quantization.ranges.observers import (
    EntropyObserver,
    HistogramObserver,
    MinMaxObserver,
    MovingAverageObserver,
    Observer,
    PercentileObserver,
    Sweeping,
)

KINDS: dict[str, type[Observer]] = {
    "minmax": MinMaxObserver,
    "moving_average": MovingAverageObserver,
    "histogram": HistogramObserver,
    "percentile": PercentileObserver,
    "entropy": EntropyObserver,
    "sweep": Sweeping,
}


@pytest.mark.parametrize("name", OBSERVER_NAMES)
def test_each_name_builds_its_observer(name: str) -> None:
    spec = parse_observer(name)
    observer = spec.build()
    assert isinstance(observer, KINDS[name])
    observer(torch.randn(50))
    assert observer.range()[0] < observer.range()[1]
    assert spec.build() is not observer


def test_every_observer_has_a_name() -> None:
    assert set(OBSERVER_NAMES) == set(KINDS)


def test_settings_reach_the_observer() -> None:
    percentile, histogram, average = (
        parse_observer(s).build() for s in ("percentile:99.99", " histogram:2.4 ", "moving_average:0.1")
    )
    assert isinstance(percentile, PercentileObserver) and percentile.percentile == 99.99
    assert isinstance(histogram, HistogramObserver) and histogram.norm == 2.4
    assert isinstance(average, MovingAverageObserver) and average.momentum == 0.1


def test_defaults() -> None:
    percentile, histogram = parse_observer("percentile").build(), ObserverSpec().build()
    assert isinstance(percentile, PercentileObserver) and percentile.percentile == 99.999
    assert isinstance(histogram, HistogramObserver) and histogram.norm == 2.0


@given(st.floats(50.0, 100.0))
def test_the_spelling_reads_back(percentile: float) -> None:
    spec = ObserverSpec("percentile", percentile)
    assert parse_observer(str(spec)) == spec
    assert all(parse_observer(str(ObserverSpec(n))) == ObserverSpec(n) for n in OBSERVER_NAMES)


@pytest.mark.parametrize(
    ("wrong", "meant"), [("histgram", "histogram"), ("min_max", "minmax"), ("precentile:99", "percentile")]
)
def test_a_misspelt_name_gets_the_nearest(wrong: str, meant: str) -> None:
    with pytest.raises(InputError, match=f"there is no observer of that name\n  fix: did you mean '{meant}'"):
        parse_observer(wrong)


def test_a_name_like_no_other_gets_the_list() -> None:
    with pytest.raises(InputError, match="fix: there are: minmax, moving_average, histogram, percentile, entropy"):
        parse_observer("xyz")


@pytest.mark.parametrize("spelling", ["percentile:x", "percentile:", "histogram:2,4"])
def test_a_setting_must_be_a_number(spelling: str) -> None:
    with pytest.raises(InputError, match="is not a number"):
        parse_observer(spelling)


@pytest.mark.parametrize(
    "spelling",
    ["percentile:49", "percentile:100.1", "percentile:nan", "histogram:0.5", "histogram:inf", "moving_average:2"],
)
def test_a_setting_must_lie_in_its_range(spelling: str) -> None:
    with pytest.raises(InputError, match="its setting must lie between"):
        parse_observer(spelling)


@pytest.mark.parametrize("spelling", ["minmax:1", "entropy:0.5"])
def test_some_observers_have_no_setting(spelling: str) -> None:
    with pytest.raises(InputError, match="has no setting"):
        parse_observer(spelling)


def test_what_is_built_is_an_observer() -> None:
    assert all(isinstance(ObserverSpec(n).build(), Observer) for n in OBSERVER_NAMES)
