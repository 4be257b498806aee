"""Input shapes that get their own object."""

from __future__ import annotations

from itertools import count

from fxpasses.export.engines.shape_cache import KEPT, REMEMBERED, REPEATS, ByShape


def numbered() -> ByShape[int]:
    """Objects with numbers: the first is 0, those made later are 1, 2, ..."""
    made = count(1)
    return ByShape(0, again=lambda first: next(made))


def test_the_first_shape_gets_the_first() -> None:
    things = numbered()
    assert [things.of("a") for _ in range(5)] == [0] * 5 and things.kept == {"a": 0}


def test_a_shape_that_keeps_coming_gets_its_own() -> None:
    things = numbered()
    things.of("a")
    assert [things.of("b") for _ in range(REPEATS + 2)] == [0] * (REPEATS - 1) + [1] * 3
    assert things.of("a") == 0, "the first keeps its own"


def test_two_shapes_in_turn_have_their_own() -> None:
    things = numbered()
    assert [things.of("ab"[n % 2]) for n in range(8)] == [0, 0, 0, 0, 0, 1, 0, 1]


def test_shapes_in_turn_drive_no_other_out() -> None:
    things = numbered()
    for shape in "abbb" + 20 * "cde":
        things.of(shape)
    assert things.kept == {"a": 0, "b": 1}


def test_shapes_that_come_seldom_cost_nothing() -> None:
    things = numbered()
    assert {things.of(n % (2 * REMEMBERED)) for n in range(10 * REMEMBERED)} == {0}
    assert len(vars(things)["_calls"]) <= REMEMBERED


def test_no_more_than_a_few_are_kept() -> None:
    things = numbered()
    for shape in "abcde":
        for _ in range(REPEATS):
            things.of(shape)
    assert KEPT == len(things.kept) == 2 and things.kept == {"d": 3, "e": 4}
    assert things.of("b") == 0, "what has gone gets the first again"
