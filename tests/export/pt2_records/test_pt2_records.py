"""Values of JSON from a stranger: accepted if they are valid, else refused with a reason."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fxpasses.errors import GraphError, InputError
from fxpasses.export.pt2_records import records
from fxpasses.export.pt2_records.records import RefusedError, refusing

PATH = Path("model.pt2")


def test_what_is_right_comes_back() -> None:
    document = records.parsed("a", b'{"list": [1, 2.5, true, "x\\ny", null], "inf": "Infinity"}')
    numbers = records.items(records.field(document, "list", "a"), "a")
    assert records.integer(numbers[0], "a") == 1
    assert records.number(numbers[1], "a") == 2.5
    assert records.truth(numbers[2], "a") is True
    assert records.text(numbers[3], "a") == "x\ny"
    assert records.number(document["inf"], "a") == math.inf
    assert math.isnan(records.number("NaN", "a"))
    assert records.only({"as_int": 3}, "a") == ("as_int", 3)


@pytest.mark.parametrize(
    ("read", "value", "why"),
    [
        (records.table, [], "thing is no table: list"),
        (records.items, {}, "thing is no list: dict"),
        (records.integer, True, "no integer: True"),
        (records.integer, 1.0, "no integer: 1.0"),
        (records.integer, 2**63, "not between"),
        (records.number, "1", "no finite number"),
        (records.number, False, "no integer"),
        (records.number, None, "no finite number: NoneType"),
        (records.number, math.inf, "no finite number: inf"),
        (records.truth, 1, "neither true nor false"),
        (records.text, 1, "no text"),
        (records.text, "\x1b[2J", "no text that can be printed"),
        (records.text, "\ud800", "no text that can be printed"),
        (records.text, "x" * 1_000_001, "more than 1000000 characters"),
        (records.only, {}, "0 things at once"),
        (records.only, {"a": 1, "b": 2}, "2 things at once"),
    ],
)
def test_what_is_wrong_is_refused(read: Callable[[Any, str], Any], value: object, why: str) -> None:
    with pytest.raises(RefusedError, match=rf"(?i)it is damaged: .*{why}"):
        read(value, "thing")


def test_a_key_that_is_missing() -> None:
    with pytest.raises(RefusedError, match="thing has no 'b'"):
        records.field({"a": 1}, "b", "thing")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"{", "is no JSON"),
        (b"\xff", "is no JSON"),
        (b"[NaN]", "NaN is no number of JSON"),
        (b'{"a": 1, "a": 2}', "a key is there twice"),
        (b"[" * 100_000, "nested too deeply"),
        (b"9" * 10_000, "is no JSON"),
    ],
)
def test_documents_that_are_none(data: bytes, why: str) -> None:
    with pytest.raises(RefusedError, match=rf"facts.*{why}"):
        records.parsed("facts", data)


def test_shown_text_is_short_and_harmless() -> None:
    assert records.shown("a\x1b[2J\nb") == "a?[2J?b"
    assert records.shown("x" * 100) == "x" * 80 + "..."


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RefusedError("it is odd", "mend it"), "model.pt2\n  why: it is odd\n  fix: mend it"),
        (InputError("x", why="no such target", fix="y"), "no such target\n  fix: save the model again"),
        (GraphError("node", why="no shape", fix="y"), "no shape\n  fix: save the model again"),
        (RuntimeError("first\nsecond"), "of another version: first\n  fix: save the model again"),
        (ZeroDivisionError(), "ZeroDivisionError"),
    ],
)
def test_everything_becomes_an_input_error_that_names_the_file(error: Exception, said: str) -> None:
    with pytest.raises(InputError) as caught, refusing(PATH):
        raise error
    assert str(caught.value).startswith("model.pt2\n") and said in str(caught.value)


def test_an_interruption_stays_one() -> None:
    with pytest.raises(KeyboardInterrupt), refusing(PATH):
        raise KeyboardInterrupt
