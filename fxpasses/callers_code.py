"""Run the caller's code; its exceptions become errors that name the caller's file and line.

``sys.exit`` inside it would end the command with the caller's exit code and no output; it becomes an error, too.
KeyboardInterrupt, the exit on a signal and other exceptions that are no ``Exception`` are passed on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from .errors import FxPassesError, InputError


@contextmanager
def told_as_the_callers(what: str, fix: str, file: Path | None = None) -> Iterator[None]:
    """Turn an exception of the block into an InputError, and refuse a changed default dtype or device.

    Args:
        what: description of the failure for the message: ``"net.py:factory failed"``.
        fix: the remedy.
        file: the caller's file, whose line the error names; without it the line that raised is named.

    Raises:
        InputError: the block raised an exception, or called ``sys.exit``.
    """
    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    try:
        yield
    except (FxPassesError, MemoryError):
        raise
    except BaseException as error:
        if not is_a_failure(error):
            raise
        raise InputError(what, why=said_by(error), fix=fix, at=callers_line(error, file)) from error
    finally:
        changed = _restored(dtype, device)
    if changed:
        raise InputError(
            what,
            why=f"it changes torch's {changed}, which everything after it would be computed with",
            fix="put it back before returning, or give dtype= and device= to the calls that need them",
            at=None if file is None else f'File "{file}"',
        )


def is_a_failure(error: BaseException) -> bool:
    """Whether an exception means that the code failed: any Exception, or ``sys.exit``; not the exit on a signal."""
    return isinstance(error, Exception) or type(error) is SystemExit


def said_by(error: BaseException) -> str:
    """Text for an exception: its type and the first line of its message, if any; or the call of ``sys.exit``."""
    if isinstance(error, SystemExit):
        return f"it called sys.exit({'' if error.code is None else repr(error.code)})"
    first_line = text_of(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__


def text_of(error: BaseException) -> str:
    """``str(error)``; empty if that fails, since it is the caller's code, too."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - the error is reported anyway; why its text fails is not important
        return ""


def callers_line(error: BaseException, file: Path | None = None) -> str | None:
    """The innermost line of the caller's file that led to the error; without a file the innermost line of all."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return f'File "{error.filename}", line {error.lineno}'
    found, step = None, error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        if file is None or Path(code.co_filename) == file:
            found = f'File "{code.co_filename}", line {step.tb_lineno}, in {code.co_name}'
        step = step.tb_next
    return found


def _restored(dtype: torch.dtype, device: torch.device) -> str | None:
    """Restore both defaults; return a description of the change, or None."""
    changed = None
    if torch.get_default_dtype() != dtype:
        changed = f"default dtype to {torch.get_default_dtype()}"
        torch.set_default_dtype(dtype)
    if torch.get_default_device() != device:
        changed = f"default device to {torch.get_default_device()}"
        torch.set_default_device(None if device.type == "cpu" else device)
    return changed
