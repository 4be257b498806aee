#!/usr/bin/python3 -u
"""First and only program of the emulated PC: runs /task.json's Python program, and tells of it on the serial line.

Each line is JSON: ``{"out": TEXT}`` for a line of the program's output, ``{"err": TEXT}`` for one of its errors,
``{"file": PATH, "data": BASE64}`` for a part of a file that it wrote, and ``{"end": CODE}`` at the end. The kernel may
write lines of its own in between.
"""

from __future__ import annotations

import base64
import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PART = 3 * 1024
"""Bytes of a file in one line."""
LINE, TASK = Path("/dev/ttyS0"), Path("/task.json")
MOUNTED = (("devtmpfs", "/dev"), ("proc", "/proc"), ("sysfs", "/sys"))
"""Kinds and places of file systems; they hide what was brought below these places, so /tmp is none of them."""
ENVIRONMENT = {
    "PATH": "/usr/bin",
    "HOME": "/tmp",
    "PYTHONPATH": "/wheels",
    "PYTHONDONTWRITEBYTECODE": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


def mount(kind: str, place: str) -> None:
    Path(place).mkdir(parents=True, exist_ok=True)
    ctypes.CDLL(None).mount(kind.encode(), place.encode(), kind.encode(), 0, None)


def run_task(task_file: Path, line_file: Path) -> None:
    """Run the program of a task; tell of it, line by line, in another file."""
    task = json.loads(task_file.read_text(encoding="utf-8"))
    with line_file.open("w", encoding="utf-8", buffering=1) as line:

        def tell(**said: Any) -> None:
            line.write(json.dumps(said) + "\n")

        code = run_program(task["arguments"], tell)
        for path in filter(os.path.exists, task["returned"]):
            content = Path(path).read_bytes()
            for start in range(0, max(1, len(content)), PART):
                tell(file=path, data=base64.b64encode(content[start : start + PART]).decode("ascii"))
        tell(end=code)


def run_program(arguments: list[str], tell: Callable[..., None]) -> int:
    """Run a Python program to its end; its errors are told behind its output."""
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors,
        subprocess.Popen(
            [sys.executable, *arguments],
            stdout=subprocess.PIPE,
            stderr=errors,
            env=ENVIRONMENT,
            encoding="utf-8",
            errors="replace",
        ) as child,
    ):
        assert child.stdout is not None
        for text in child.stdout:
            tell(out=text.rstrip("\n"))
        code = child.wait()
        errors.seek(0)
        for text in errors:
            tell(err=text.rstrip("\n"))
    return code


if __name__ == "__main__":
    for kind, place in MOUNTED:
        mount(kind, place)
    Path(ENVIRONMENT["HOME"]).mkdir(exist_ok=True)
    run_task(TASK, LINE)
    while True:  # the kernel panics when its first program ends; the emulator is stopped from outside
        time.sleep(1)
