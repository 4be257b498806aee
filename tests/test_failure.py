"""What is told of an exception from somebody else's code: its first line, and the user's own."""

from __future__ import annotations

import torch

from fxpasses.failure import first_line, users_frame


def caught(call: object) -> BaseException:
    try:
        call()  # type: ignore[operator]  # any callable
    except Exception as error:  # noqa: BLE001  # the test is about exceptions
        return error
    raise AssertionError("it did not fail")


def test_first_line_skips_what_is_empty() -> None:
    assert first_line(RuntimeError("\n\n  the reason\nand more")) == "RuntimeError: the reason"
    assert first_line(ValueError()) == "ValueError"
    assert first_line(KeyError("name")) == "KeyError: 'name'"


class Peculiar(Exception):
    """Not one of Python's."""


def test_only_pythons_own_exceptions_are_named() -> None:
    assert first_line(Peculiar("the reason")) == "the reason"


def test_users_frame_is_the_innermost_outside_torch() -> None:
    error = caught(lambda: torch.nn.Linear(2, 3)(torch.zeros(4)))
    assert (users_frame(error) or "").startswith(f'File "{__file__}", line ')
    assert (users_frame(error) or "").endswith("in <lambda>")


def test_an_exception_that_was_never_raised_has_no_frame() -> None:
    assert users_frame(ValueError()) is None
