"""Differences are counted in LSB, of every value; instructions are those of one run."""

from __future__ import annotations

import json

import numpy as np
import pytest
from emulation.jobs import ILLEGAL_INSTRUCTION
from emulation.outcome import ONNXRUNTIME, TORCH, Difference, Instructions, Outcome, difference_of, instructions_of

EXACT = np.array([[0.0, 1.0], [2.0, 25.5]], dtype=np.float32)


def outcome(runtime: str = ONNXRUNTIME, **known: object) -> Outcome:
    return Outcome("net, x86", "net", "x86", "Haswell", runtime, "1.0", **known)  # type: ignore[arg-type]


def test_equal_outputs_differ_nowhere() -> None:
    assert difference_of([EXACT.copy()], [EXACT], [0.5]) == Difference(0.0, 0, 4)


def test_integers_count_in_steps_of_the_output() -> None:
    found = EXACT.copy()
    found[0, 1] += 1.5
    assert difference_of([EXACT, found], [EXACT, EXACT], [0.5, 0.5]) == Difference(3.0, 1, 8)


def test_floats_count_in_levels_of_their_range() -> None:
    found = EXACT.copy()
    found[1, 0] -= 0.01
    difference = difference_of([found], [EXACT], [None])
    assert difference.differing == 1
    assert difference.max_lsb == pytest.approx(0.1, rel=1e-5)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_what_is_no_number_is_infinitely_far(broken: float) -> None:
    found = EXACT.copy()
    found[0, 0] = broken
    assert difference_of([found], [EXACT], [0.5]) == Difference(np.inf, 1, 4)


def test_another_shape_is_all_wrong() -> None:
    assert difference_of([EXACT[:1]], [EXACT], [0.5]) == Difference(np.inf, 4, 4)


def test_what_counts_as_good() -> None:
    assert outcome(difference=Difference(0.49, 3, 4)).is_good
    assert not outcome(difference=Difference(1.0, 1, 4)).is_good
    assert outcome(why_not="no registry", skipped=True).is_good
    assert outcome(TORCH, why_not=ILLEGAL_INSTRUCTION).is_good
    assert not outcome(why_not=ILLEGAL_INSTRUCTION).is_good
    assert not outcome(TORCH, why_not="ended by SIGSEGV").is_good


def test_json_says_it_all() -> None:
    document = json.loads(json.dumps(outcome(difference=Difference(0.0, 0, 4), options={"key": "1"}).to_json()))
    assert document["difference"] == {"max_lsb": 0.0, "differing": 0, "values": 4}
    assert document["options"] == {"key": "1"} and document["is_good"] and document["instructions"] is None


def test_instructions_are_those_between_two_marks() -> None:
    marks = "1000 5 0\n9000 9 0\n9900 19 1\n10700 29 3\n" + "20000 100 0\n20900 100 0\n21000 100 0\n21200 100 0\n"
    assert instructions_of(marks, runs=3) == [Instructions(800, 10, 2), Instructions(100, 0, 0)]


def test_a_missing_mark_is_not_overlooked() -> None:
    with pytest.raises(ValueError, match="reshape"):
        instructions_of("1 0 0\n2 0 0\n3 0 0\n", runs=3)
