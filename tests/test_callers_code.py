"""The caller's code is run so that its errors are reported as the caller's."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from fxpasses.callers_code import callers_line, said_by, told_as_the_callers
from fxpasses.cli.process import Stopped
from fxpasses.errors import FxPassesError, InputError


class Odd(Exception):
    """An exception of the caller's."""


@pytest.mark.parametrize("error", [Odd("x"), StopIteration("x"), EOFError("x"), SystemExit(0), SystemExit("x")])
def test_failures_are_told(error: BaseException) -> None:
    match = r"(?s)^net\.py failed\n  at:  File .*test_callers_code\.py.*fix: mend it"
    with pytest.raises(InputError, match=match), told_as_the_callers("net.py failed", "mend it"):
        raise error


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), Stopped(143), GeneratorExit(), MemoryError(), FxPassesError("x")]
)
def test_others_stay_what_they_are(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, told_as_the_callers("net.py failed", "mend it"):
        raise error
    assert caught.value is error


def test_what_is_said() -> None:
    assert said_by(Odd("one\ntwo")) == "Odd: one"
    assert said_by(Odd()) == "Odd"
    assert said_by(SystemExit(None)) == "it called sys.exit()"
    assert said_by(SystemExit(0)) == "it called sys.exit(0)"


def test_the_line_is_that_of_the_callers_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("import json\n\njson.loads('{')\n")
    with pytest.raises(ValueError, match="Expecting") as caught:
        exec(compile(path.read_text(), str(path), "exec"), {})
    assert callers_line(caught.value, path) == f'File "{path}", line 3, in <module>'
    assert "decoder.py" in str(callers_line(caught.value))


def test_defaults_are_put_back() -> None:
    told = told_as_the_callers
    with pytest.raises(InputError, match=r"changes torch's default dtype to torch\.float64"), told("f failed", "x"):
        torch.set_default_dtype(torch.float64)
    with pytest.raises(InputError, match=r"changes torch's default device to meta"), told("f failed", "x"):
        torch.set_default_device("meta")
    assert (torch.get_default_dtype(), torch.get_default_device()) == (torch.float32, torch.device("cpu"))


def test_sys_exit_of_a_library_is_told_too() -> None:
    with pytest.raises(InputError, match=r"sys\.exit\(3\)"), told_as_the_callers("net.py failed", "mend it"):
        sys.exit(3)
