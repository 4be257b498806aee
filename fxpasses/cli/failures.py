"""Every way a command can fail: the message on stderr, and the exit code."""

from __future__ import annotations

import errno
import os
import shlex
import sys
import sysconfig
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from fxpasses.errors import FxPassesError

from . import interruption

DEBUG = "--debug"

BAD_INPUT = 2
DEFECT = 70
"""Exit code of a defect of fxpasses; EX_SOFTWARE in sysexits.h."""
BROKEN_PIPE = 141

_NO_MEMORY = ("can't allocate memory", "bad_alloc", "not enough memory", "Failed to allocate memory")


class Interrupted(Exception):
    """Ctrl-C, as an exception that typer does not interpret."""


def exit_with(
    error: BaseException, arguments: Sequence[str] = (), spelled: Callable[[str], str] = lambda message: message
) -> NoReturn:
    """Print one message about an error, and exit.

    Args:
        arguments: those of the command.
        spelled: replaces parameter names in a message of the library by the options of the command line.
    """
    if DEBUG in arguments:
        traceback.print_exception(error)
    if isinstance(error, BrokenPipeError):
        _leave_stdout()
        raise SystemExit(BROKEN_PIPE)
    message, code = told(error, arguments)
    sys.stderr.write(f"{spelled(message) if code == BAD_INPUT else message}\n")
    raise SystemExit(code)


def told(error: BaseException, arguments: Sequence[str] = ()) -> tuple[str, int]:
    """Return the message of an error and its exit code."""
    if isinstance(error, KeyboardInterrupt | Interrupted) or interruption.was_pressed():
        return "interrupted: nothing was left half-written", interruption.INTERRUPTED
    if isinstance(error, FxPassesError):
        return f"error: {error}", BAD_INPUT
    if isinstance(error, MemoryError) or any(sign in _text(error) for sign in _NO_MEMORY):
        return _lines("not enough memory", _first_line(error), "smaller images, a smaller --batch, or more memory")
    if isinstance(error, OSError) and error.errno is not None:
        return _os_error(error)
    if not isinstance(error, Exception) and (at := _callers_line(error)):
        why = f"{type(error).__name__} is no Exception, and was raised at {at}"
        return _lines("code of yours ended the command", why, "raise an Exception there, or none")
    again = (
        "the traceback above"
        if DEBUG in arguments
        else "what this prints: " + shlex.join(["fxpasses", DEBUG, *arguments])
    )
    return (
        f"error: a defect of fxpasses, not of your input: {type(error).__name__}: {_first_line(error)}\n"
        f"  fix: please report it, with {again}",
        DEFECT,
    )


def _callers_line(error: BaseException) -> str | None:
    """Return the line that raised the error; None if it is in this package or in an installed one."""
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    if step is None:
        return None
    file = Path(step.tb_frame.f_code.co_filename)
    packages = [Path(__file__).parents[1], *(Path(place) for place in sysconfig.get_paths().values())]
    if any(place in file.parents for place in packages):
        return None
    return f'File "{file}", line {step.tb_lineno}'


def _os_error(error: OSError) -> tuple[str, int]:
    """Message for an OSError. Output files are handled in fxpasses/writing; these are temporary and input files."""
    what = f"cannot use {error.filename}" if error.filename else "a file cannot be read or written"
    fix = "check the path and its permissions"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        fix = "free some space; temporary files go where TMPDIR says"
    return _lines(what, error.strerror or type(error).__name__, fix)


def _lines(what: str, why: str, fix: str) -> tuple[str, int]:
    return f"error: {what}\n  why: {why}\n  fix: {fix}", BAD_INPUT


def _first_line(error: BaseException) -> str:
    return (_text(error).splitlines() or [type(error).__name__])[0]


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - the text of a foreign exception can fail: use its type
        return ""


def _leave_stdout() -> None:
    """Send stdout to the null device: the reader closed the pipe, and Python must not fail when it flushes at exit."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
