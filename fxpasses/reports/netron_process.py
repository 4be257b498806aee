"""``python -m fxpasses.reports.netron_process FILE``: Netron in a process of its own, until its stdin is closed.

Netron keeps what it serves for a whole process: a second file in one process would take the place of the first.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from fxpasses.errors import InputError

from .view import view

_AWAY = "fix what it said, or look at the files one by one: fxpasses view FILE"


@dataclass(frozen=True)
class NetronProcess:
    """A running Netron, as :class:`.view.Viewer` is one."""

    url: str
    process: subprocess.Popen[str]

    def stop(self) -> None:
        """Stop serving; harmless if it has stopped."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def start_netron(path: Path) -> NetronProcess:
    """Serve a file that can be viewed; returns at once.

    Raises:
        InputError: the process ended without serving; what it said is on stderr.
    """
    command = [sys.executable, "-m", __name__, str(path)]
    pipe = subprocess.PIPE  # a session of its own: Ctrl-C is for the command that waits, which then closes stdin
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, start_new_session=True)
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    if not url:
        found = NetronProcess(url, process)
        found.stop()
        raise InputError(f"cannot serve {path}", why=f"Netron ended with code {process.returncode}", fix=_AWAY)
    return NetronProcess(url, process)


def main(path: Path) -> None:
    """Serve until stdin is closed, which the end of the parent does, too."""
    viewer = view(path, browse=False, wait=False)
    print(viewer.url, flush=True)
    sys.stdin.read()
    viewer.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
