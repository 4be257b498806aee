"""Remembers that Ctrl-C was pressed.

Some libraries swallow KeyboardInterrupt or turn it into errors of their own: a bare ``except`` in torch leaves a module
half imported, an extension module answers with ImportError. So the signal handler records that the key was pressed.
Steps check the record, and an error that comes after it is reported as an interruption.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

INTERRUPTED = 130
_presses: list[int] = []
_holds: list[bool] = []


def watch() -> None:
    """Record Ctrl-C from here on; it raises KeyboardInterrupt as before."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # background processes ignore it: keep that
        signal.signal(signal.SIGINT, _note)


def was_pressed() -> bool:
    return bool(_presses)


def check() -> None:
    """Raise KeyboardInterrupt if a library swallowed it."""
    if was_pressed():
        raise KeyboardInterrupt


def forget() -> None:
    """Forget the Ctrl-C that ended the server: it is the normal way to stop it."""
    _presses.clear()


@contextmanager
def held() -> Iterator[None]:
    """Delay KeyboardInterrupt until the end of the block: C extensions abort if interrupted while they are imported."""
    _holds.append(True)
    try:
        yield
    finally:
        _holds.pop()
    check()


def leave_if_pressed() -> None:
    """End the process with exit code 130 if Ctrl-C was pressed.

    At exit Python might otherwise end the process by SIGINT, or continue an import that was interrupted, if the
    KeyboardInterrupt passed through C code. Everything has been cleaned up: this runs after the last ``finally``.
    """
    if was_pressed():
        with suppress(OSError):  # the reader may have closed the pipe
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(INTERRUPTED)


def _note(number: int, _frame: FrameType | None) -> None:
    _presses.append(number)
    if not _holds:
        raise KeyboardInterrupt
