"""Text of an exception from foreign code: its first line, and the user's own line."""

from __future__ import annotations

import pytest
import torch

from fxpasses.user_frames import calling_lines, first_line, users_frame


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
    """Exception class that is not Python's."""


def test_only_pythons_own_exceptions_are_named() -> None:
    assert first_line(Peculiar("the reason")) == "the reason"


def test_users_frame_is_the_innermost_outside_torch() -> None:
    error = caught(lambda: torch.nn.Linear(2, 3)(torch.zeros(4)))
    assert (users_frame(error) or "").startswith(f'File "{__file__}", line ')
    assert (users_frame(error) or "").endswith("in <lambda>")


def test_an_exception_that_was_never_raised_has_no_frame() -> None:
    assert users_frame(ValueError()) is None


def test_calling_lines_are_the_users_outermost_first() -> None:
    def _trace_once() -> str:
        def forward() -> str:
            return (lambda: calling_lines())()

        return forward()

    lines = _trace_once().splitlines()
    assert [line.rpartition(" in ")[2] for line in lines] == ["forward", "<lambda>"]
    assert all(line.startswith(f'  File "{__file__}", line ') for line in lines)


def test_nodes_in_torchs_containers_have_their_line_where_the_user_has_none() -> None:
    from fxpasses.capturing.symbolic_trace import trace_graph
    from fxpasses.errors import source_line

    gm = trace_graph(torch.nn.Sequential(torch.nn.Linear(2, 2)).eval(), (torch.zeros(1, 2),))
    (call,) = (n for n in gm.graph.nodes if n.op == "call_module")
    assert "container.py" in (source_line(call) or "")


def test_torchvision_is_not_torch() -> None:
    torchvision = pytest.importorskip("torchvision")
    error = caught(lambda: torchvision.models.squeezenet1_1(weights=None)(torch.zeros(1, 2, 64, 64)))
    assert "squeezenet.py" in (users_frame(error) or "")
