"""Numbers as text for people."""

from __future__ import annotations

import pytest
from stub_runners import sample_parity, sample_variant

from fxpasses.reports.numbers import (
    UNKNOWN,
    bytes_text,
    condition_text,
    count_text,
    decibel_text,
    headline,
    parity_verdict,
    per_second_text,
    percent_text,
    points_text,
    ratio_text,
    three_digits,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, UNKNOWN), (0, "0 B"), (999, "999 B"), (1_080_000, "1.08 MB"), (14_400_000, "14.4 MB"), (5e9, "5.00 GB")],
)
def test_bytes(value: float | None, text: str) -> None:
    assert bytes_text(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.3481, "0.348"), (2.614, "2.61"), (41.04, "41.0"), (160.4, "160")])
def test_three_digits(value: float, text: str) -> None:
    assert three_digits(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(99.2, "99.2 %"), (100.0, "100.0 %"), (99.98, "99.9 %"), (0.0, "0.0 %"), (None, UNKNOWN)]
)
def test_only_all_is_a_hundred_percent(value: float | None, text: str) -> None:
    assert percent_text(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.04, "±0.0 points"), (-0.3, "−0.3 points"), (1.7, "+1.7 points")])
def test_points_have_a_sign(value: float, text: str) -> None:
    assert points_text(value) == text


def test_what_is_unknown_is_a_dash() -> None:
    functions = (count_text, three_digits, decibel_text, ratio_text, points_text, per_second_text)
    assert {function(None) for function in functions} == {UNKNOWN}


def test_rates_and_conditions() -> None:
    assert per_second_text(2390) == "2.39 k/s"
    assert per_second_text(77) == "77/s"
    assert condition_text({"batch": 8, "threads": 1}) == "batch 8, 1 thread"
    assert condition_text({"batch": 1, "threads": 2}) == "batch 1, 2 threads"


def test_the_headline_is_of_onnxruntimes_int8() -> None:
    found = headline([sample_variant(r, p) for r in ("torch", "onnxruntime") for p in ("fp32", "int8")])
    assert found is not None
    assert found.variant["name"] == "onnxruntime int8"
    assert found.size_ratio == 4.0
    assert found.accuracy_change == pytest.approx(-0.3)
    assert found.speedups == {"onnxruntime": 2.5, "torch": 2.5}


def test_the_headline_does_without_float_labels_sizes_and_times() -> None:
    bare = sample_variant("torch", "int8", size_bytes=None, latency=[], accuracy={"top1": None, "images": 9})
    found = headline([bare])
    assert found is not None
    assert (found.reference, found.size_ratio, found.accuracy_change, found.speedups) == (None, None, None, {})
    assert headline([sample_variant("torch", "fp32")]) is None


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({}, "good"),
        ({"max_lsb": 2, "max_lsb_at_any_node": 1, "first_divergence": "conv1 (torch)"}, "fair"),
        ({"max_lsb_at_any_node": 1, "top1_agreement": None}, "fair"),
        ({"max_lsb_at_any_node": 1, "top1_agreement": 99.9}, "bad"),
        ({"max_lsb_at_any_node": 2, "first_divergence": "conv1 (torch)"}, "bad"),
    ],
)
def test_the_verdict_on_parity(changes: dict[str, object], level: str) -> None:
    assert parity_verdict(sample_parity(**changes))[0] == level


def test_parity_that_was_not_run_is_not_praised() -> None:
    assert parity_verdict(None) == ("none", "parity not checked")
