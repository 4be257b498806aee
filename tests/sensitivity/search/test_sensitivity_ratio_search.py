"""The largest ratio within a budget."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxpasses.errors import InputError
from fxpasses.sensitivity.search.ratio_search import HIGHEST, largest_ratio, largest_ratios, ratios_within


@given(edge=st.floats(0.011, 0.98), tolerance=st.sampled_from([0.05, 0.01, 0.002]))
def test_finds_the_edge_to_within_the_tolerance_and_never_beyond(edge: float, tolerance: float) -> None:
    calls: list[float] = []

    def drop_at(ratio: float) -> float:
        calls.append(ratio)
        return 0.0 if ratio <= edge else 5.0

    found = largest_ratio(drop_at, 2.0, tolerance=tolerance)
    assert edge - tolerance * 1.001 <= found.ratio <= edge
    assert found.next_failing is not None and found.next_failing > edge
    assert found.evaluations == len(calls) == len(set(calls))
    assert found.is_monotone


def test_everything_may_go() -> None:
    found = largest_ratio(lambda ratio: 0.0, 1.0)
    assert (found.ratio, found.next_failing, found.evaluations) == (HIGHEST, None, 1)


def test_nothing_may_go() -> None:
    found = largest_ratio(lambda ratio: 9.0, 1.0)
    assert (found.ratio, found.drop) == (0.0, 0.0)


def test_what_a_scan_knows_is_not_measured_again() -> None:
    def drop_at(ratio: float) -> float:
        assert 0.5 < ratio < 0.7
        return 10 * ratio**4

    found = largest_ratio(drop_at, 1.5, known={0.3: 0.08, 0.5: 0.62, 0.7: 2.4, 0.9: 6.6})
    assert found.ratio == pytest.approx(0.15**0.25, abs=0.01)
    assert found.evaluations <= 6
    assert dict(found.tried)[0.7] == 2.4


def test_a_scan_that_holds_everywhere_is_continued_to_the_highest() -> None:
    assert largest_ratio(lambda ratio: 1.5 if ratio > 0.95 else 0.5, 1.0, known={0.5: 0.1, 0.9: 0.4}).ratio > 0.93


def test_accuracy_that_rises_again_is_told_and_the_first_failure_bounds() -> None:
    found = largest_ratio(lambda ratio: 3.0, 1.0, known={0.2: 0.1, 0.4: 2.0, 0.8: 0.5})
    assert not found.is_monotone
    assert found.ratio == 0.2


def test_a_wobble_within_the_noise_is_no_breach() -> None:
    drops = {0.2: 0.4, 0.4: 0.2}
    assert not largest_ratio(lambda ratio: 9.0, 1.0, known=drops).is_monotone
    assert largest_ratio(lambda ratio: 9.0, 1.0, known=drops, noise=0.3).is_monotone


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_drop": -1.0}, "a budget is not negative"),
        ({"max_drop": 1.0, "tolerance": 0.0}, "tolerance 0.0"),
        ({"max_drop": 1.0, "highest": 1.0}, "highest 1.0"),
    ],
)
def test_settings_that_cannot_be_meant(settings: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        largest_ratio(lambda ratio: 0.0, **settings)  # type: ignore[arg-type]


def test_curves_are_interpolated_and_end_where_the_scan_ends() -> None:
    curves = {"steep": {0.5: 1.0, 0.9: 9.0}, "flat": {0.5: 0.0, 0.9: 0.1}, "broken": {0.5: 4.0}, "better": {0.5: -1.0}}
    assert ratios_within(curves, 2.0) == pytest.approx({"steep": 0.55, "flat": 0.9, "broken": 0.25, "better": 0.5})


def test_the_net_gets_what_its_layers_allow_for_one_budget() -> None:
    """Two layers whose losses add get half the budget each."""
    curves = {"a": {0.9: 9.0}, "b": {0.9: 4.5}}
    ratios, search = largest_ratios(curves, lambda r: 10 * r.get("a", 0) + 5 * r.get("b", 0), 2.0)
    assert 10 * ratios["a"] + 5 * ratios["b"] == pytest.approx(2.0, abs=0.1)
    assert ratios["b"] == pytest.approx(2 * ratios["a"], rel=0.01)
    assert search.drop <= 2.0
