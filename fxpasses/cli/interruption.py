"""Ctrl-C, remembered.

Between the key and us stand libraries that swallow KeyboardInterrupt or turn it into errors of their own: a bare
``except`` in torch leaves a module half imported, an extension module answers with ImportError. So the handler notes
that the key was pressed; steps ask, and an error that comes after it is told as what it is: an interruption.
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
    """Note Ctrl-C from here on; it raises KeyboardInterrupt as before."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # in the background it is ignored: stay so
        signal.signal(signal.SIGINT, _note)


def was_pressed() -> bool:
    return bool(_presses)


def check() -> None:
    """Raise KeyboardInterrupt if a library swallowed it."""
    if was_pressed():
        raise KeyboardInterrupt


def forget() -> None:
    """Ctrl-C was what the command waited for."""
    _presses.clear()


@contextmanager
def held() -> Iterator[None]:
    """Raise nothing inside the block, but after it: for C extensions, which abort if interrupted while imported."""
    _holds.append(True)
    try:
        yield
    finally:
        _holds.pop()
    check()


def leave_if_pressed() -> None:
    """End the process with 130, if Ctrl-C was pressed.

    Python would end it by SIGINT where the KeyboardInterrupt passed through C code, and import what it had begun to.
    Everything has been cleaned up: this runs after the last ``finally``.
    """
    if was_pressed():
        with suppress(OSError):  # nobody reads any more
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(INTERRUPTED)


def _note(number: int, _frame: FrameType | None) -> None:
    _presses.append(number)
    if not _holds:
        raise KeyboardInterrupt
