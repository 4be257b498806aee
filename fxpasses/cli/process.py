"""Prepares the process of the command line: its streams, its signals, and the logs of other packages."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Any

from .failures import DEBUG

_AGAIN_S = 0.01
"""Time after which a signal that was lost is sent again: enough to leave the callback in which it was lost."""


class Stopped(SystemExit):
    """SystemExit raised by a signal: a class of its own, so that it is not mistaken for a ``sys.exit`` of the caller's
    code.
    """


def prepare_process(arguments: Sequence[str] | None = None) -> None:
    """Prepare the process; called once, before the command runs."""
    given = sys.argv[1:] if arguments is None else arguments
    if DEBUG not in given:
        logging.disable(logging.ERROR)  # our errors say what a user should know; torch logs even a Ctrl-C
    _print_what_the_terminal_can()
    _clean_up_when_stopped()


def _print_what_the_terminal_can() -> None:
    """Print a question mark for characters that the terminal cannot show, such as ✓, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def _clean_up_when_stopped() -> None:
    """Make `kill`, `timeout` and a closed terminal end the program through its ``finally`` blocks."""

    def stop(number: int, _frame: FrameType | None) -> None:
        raise Stopped(128 + number)

    sys.unraisablehook = _send_again
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # under nohup, SIGHUP stays ignored
            signal.signal(number, stop)


def _send_again(unraisable: Any) -> None:
    """Send a signal again that arrived in a callback whose exceptions Python ignores, as that of a weak reference."""
    ignored = unraisable.exc_value
    if isinstance(ignored, Stopped) and isinstance(ignored.code, int):
        again = threading.Timer(_AGAIN_S, os.kill, (os.getpid(), ignored.code - 128))
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(unraisable)
