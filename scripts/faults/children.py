"""Child processes to be disturbed: forked from this process, which has imported everything, or started anew.

Importing takes longer than the rest of a small command. A forked child runs the same ``main`` as
``python -m fxpasses``, with the same streams, signals and exit codes.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

PRELOADED = (
    *("torch", "torch._dynamo", "torch.export", "torch.onnx", "torchvision", "timm", "networkx", "sympy", "onnx"),
    *("onnxruntime", "onnxscript", "onnxscript.rewriter", "matplotlib.figure", "matplotlib.backends.backend_agg"),
    *(
        "PIL.Image",
        "sklearn.datasets",
        "rich.progress",
        "pydantic",
        "fxpasses.cli.app",
        "fxpasses.cli.static.quantize_model",
    ),
    *(
        "fxpasses.cli.pruning.prune_model",
        "fxpasses.cli.jobs.sensitivity_pipeline",
        "fxpasses.cli.commands.quickstart_command",
    ),
)
DEFECT_OF_THE_CHILD = 99
_POLL_S = 0.002


@dataclass(frozen=True)
class Ended:
    """Result of a child: its exit code, or minus the signal that ended it; None if it took too long and was killed."""

    code: int | None
    said: str
    seconds: float


def preload() -> None:
    """Import the modules of commands; nothing is computed, because a fork would lose the threads of a computation."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for name in PRELOADED:
        if importlib.util.find_spec(name.partition(".")[0]) is not None:
            importlib.import_module(name)


class Child:
    """A running child; the text on both of its streams is kept."""

    def __init__(self, pid: int, said: int) -> None:
        self.pid, self._said, self._begun = pid, said, time.monotonic()
        self._status: int | None = None

    def has_ended(self) -> bool:
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = status if pid else None
        return self._status is not None

    def is_ready(self) -> bool:
        """Whether it has set its own handler of SIGTERM, which a command does before anything else."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
        return False  # it has ended

    def send(self, number: signal.Signals) -> None:
        if not self.has_ended():
            os.kill(self.pid, number)

    def wait_until(self, condition: Callable[[], bool], limit_s: float) -> bool:
        """Wait for a condition; False if the child ended first, or it took too long.

        An interruption of this process kills the child.
        """
        end = time.monotonic() + limit_s
        try:
            while time.monotonic() < end and not self.has_ended():
                if condition():
                    return True
                time.sleep(_POLL_S)
        except BaseException:
            self._kill()
            raise
        return False

    def _kill(self) -> None:
        if not self.has_ended():
            os.kill(self.pid, signal.SIGKILL)
            _, self._status = os.waitpid(self.pid, 0)

    def end(self, limit_s: float) -> Ended:
        """Wait for its end."""
        in_time = not self.wait_until(lambda: False, limit_s) and self.has_ended()
        self._kill()
        assert self._status is not None
        with os.fdopen(self._said, errors="replace") as file:
            said = file.read()
        code = os.waitstatus_to_exitcode(self._status) if in_time else None
        return Ended(code, said, time.monotonic() - self._begun)


def fork(work: Callable[[], object], environment: dict[str, str]) -> Child:
    """Run ``work`` in a copy of this process; a ``SystemExit`` gives the exit code."""
    reading, writing = _pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if not pid:
        _be_the_child(work, writing, environment)
    os.close(writing)
    return Child(pid, reading)


def _be_the_child(work: Callable[[], object], writing: int, environment: dict[str, str]) -> NoReturn:
    os.environ.update(environment)
    for stream in (1, 2):
        os.dup2(writing, stream)
    sys.stdout, sys.stderr = (open(stream, "w", closefd=False) for stream in (1, 2))  # noqa: SIM115 - for its life
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    _leave(work)


def start(line: list[str], environment: dict[str, str]) -> Child:
    """Run a command line in a new process."""
    reading, writing = _pipe()
    process = subprocess.Popen(line, stdout=writing, stderr=writing, env={**os.environ, **environment})
    os.close(writing)
    process.returncode = 0  # this class waits for it
    return Child(process.pid, reading)


def _pipe() -> tuple[int, int]:
    """Make a pipe instead of a file, because a file could reach the limit on file sizes."""
    return os.pipe()


def _leave(work: Callable[[], object]) -> NoReturn:
    """Run ``work`` and exit as the interpreter does, without returning to the code of the parent."""
    code: object = DEFECT_OF_THE_CHILD
    try:
        work()
        code = 0
    except SystemExit as leaving:
        code = leaving.code or 0
    except BaseException:  # noqa: BLE001 - the interpreter would print it and exit with 1
        sys.excepthook(*sys.exc_info())
        code = 1
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)
