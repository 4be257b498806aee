"""Runs one contestant in its own process, so that time, peak memory and crashes are those of the contestant alone.

``python -m peers.process FOLDER MODULE:FUNCTION``, in scripts/, prepares (imports, a model in memory), then times the
work: from the float model to int8 files in FOLDER. It prints seconds and bytes as JSON on its last line.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from peak_memory import peak_memory_bytes

from peers.case import read_case

SCRIPTS = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Made:
    """Cost of making the files, or the reason why there are none.

    Attributes:
        seconds: None if it failed.
        peak_bytes: largest memory of the process.
        added_bytes: the part of it beyond the memory before the work: imports and the float model.
        why_not: the error that stopped it.
    """

    seconds: float | None = None
    peak_bytes: int | None = None
    added_bytes: int | None = None
    why_not: str | None = None


def run_in_process(function: str, folder: Path, limit_seconds: float) -> Made:
    """Let ``"module:function"`` quantize the case in ``folder``, for at most ``limit_seconds``."""
    command = [sys.executable, "-m", "peers.process", str(folder), function]
    places = os.pathsep.join(filter(None, [str(SCRIPTS), os.environ.get("PYTHONPATH")]))
    errors = folder / "errors.txt"
    with errors.open("w", encoding="utf-8") as written:
        try:
            done = subprocess.run(
                command,
                stdout=subprocess.PIPE,
                stderr=written,
                text=True,
                check=False,
                timeout=limit_seconds,
                env=os.environ | {"PYTHONPATH": places},
            )
        except subprocess.TimeoutExpired:
            return Made(why_not=f"not done after {limit_seconds:.0f} s")
    if done.returncode == 0:
        return Made(**json.loads(done.stdout.splitlines()[-1]))
    if done.returncode < 0:
        return Made(why_not=f"its process was ended by {signal.Signals(-done.returncode).name}")
    return Made(why_not=_what_was_raised(errors.read_text(encoding="utf-8", errors="replace")))


def _what_was_raised(text: str) -> str:
    """First line of the error that a traceback ends with."""
    lines = text.rstrip().splitlines()
    last_frame = max((i for i, line in enumerate(lines) if line.startswith("  File ")), default=-1)
    told = [line for line in lines[last_frame + 1 :] if line.strip() and not line.startswith(" ")]
    return told[0] if told else "it failed and said nothing"


def main() -> int:
    folder, (module, _, function) = Path(sys.argv[1]), sys.argv[2].partition(":")
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):  # some draw progress bars there
        work = getattr(import_module(module), function)(read_case(folder))
        before = peak_memory_bytes()
        started = time.perf_counter()
        work()
        seconds = time.perf_counter() - started
        peak = peak_memory_bytes()
    print(json.dumps({"seconds": seconds, "peak_bytes": peak, "added_bytes": peak - before}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
