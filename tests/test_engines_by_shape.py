"""Which shapes get something of their own."""

from __future__ import annotations

from itertools import count

from fxpasses.export.engines.by_shape import KEPT, REPEATS, ByShape


def numbered() -> ByShape[int]:
    """The first is 0, those made later 1, 2, ..."""
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


def test_shapes_that_come_once_cost_nothing() -> None:
    things = numbered()
    assert {things.of("abcde"[n % 5]) for n in range(50)} == {0}


def test_no_more_than_a_few_are_kept() -> None:
    things = numbered()
    for shape in "abcde":
        for _ in range(REPEATS):
            things.of(shape)
    assert KEPT == len(things.kept) == 2 and things.kept == {"d": 3, "e": 4}
    assert things.of("b") == 0, "what has gone gets the first again"
