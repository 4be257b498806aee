"""Signals of the command line's process."""

from __future__ import annotations

import subprocess
import sys

LOST = """
import os, signal, time, weakref
from fxpasses.cli.process import prepare_process

class Thing: pass

prepare_process([])
thing = Thing()
reference = weakref.ref(thing, lambda _: (os.kill(os.getpid(), signal.SIGTERM), time.sleep(0)))
try:
    del thing  # the callback gets the signal, and Python ignores what it raises
    time.sleep(20)
finally:
    print("cleaned up")
"""
OTHERS = """
import weakref
from fxpasses.cli.process import prepare_process

class Thing: pass

prepare_process([])
thing = Thing()
reference = weakref.ref(thing, lambda _: 1 / 0)
del thing
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)


def test_a_signal_in_a_callback_is_not_lost() -> None:
    done = run(LOST)
    assert (done.returncode, done.stdout) == (143, "cleaned up\n"), done.stderr


def test_other_exceptions_of_callbacks_are_told_as_ever() -> None:
    done = run(OTHERS)
    assert done.returncode == 0 and "ZeroDivisionError" in done.stderr
