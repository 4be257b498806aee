"""Files and folders that all processes of a run of tests share, each made by the first process that asks."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from repository import RUN_FOLDER

LONGEST_S = 240.0
"""Time after which a process waits no longer for another one."""


def made_once(name: str, make: Callable[[Path], object]) -> Path:
    """Path of a file or folder that ``make`` wrote to the path it was given; not to be changed.

    Args:
        name: name in the folder of the run, the same for whatever is the same.
        make: function that writes it; after an error the next process that asks tries again.
    """
    parent = Path(os.environ[RUN_FOLDER])
    path, begun, done = parent / name, parent / f"{name}.begun", parent / f"{name}.done"
    until = time.monotonic() + LONGEST_S
    while not done.exists():
        try:
            begun.touch(exist_ok=False)
        except FileExistsError:
            assert time.monotonic() < until, f"another process has not made {path}"
            time.sleep(0.05)
            continue
        try:
            make(path)
            done.touch()
        except BaseException:
            begun.unlink()
            raise
    return path
