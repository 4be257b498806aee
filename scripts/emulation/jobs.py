"""Runs files in a process that any of them may crash: the crash is reported for its file, and a new process runs the
rest.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulation.children import Children, Ended

ILLEGAL_INSTRUCTION = "illegal instruction"

Command = tuple[list[str], dict[str, str]]


@dataclass(frozen=True)
class Job:
    """Files for one runner on one CPU.

    Attributes:
        command: returns the command, and its environment, that runs the file of a job.
        files: entries as the runner reads them, each with a name.
        folder: folder of the job and of the text on stderr.
        limit_s: time limit of one process.
    """

    command: Callable[[Path], Command]
    files: Sequence[dict[str, Any]]
    folder: Path
    limit_s: float


def run_job(job: Job, children: Children) -> dict[str, str | None]:
    """Reason why each file did not run, by name; None for files that ran."""
    job.folder.mkdir(parents=True, exist_ok=True)
    description, errors = job.folder / "job.json", job.folder / "errors.txt"
    outcomes: dict[str, str | None] = {}
    remaining = list(job.files)
    while remaining:
        description.write_text(json.dumps({"files": remaining}), encoding="utf-8")
        command, environment = job.command(description)
        ended = children.run(command, environment, errors, job.limit_s)
        told, begun = _told(ended.printed)
        outcomes |= told
        remaining = [file for file in remaining if file["name"] not in told]
        if not remaining:
            break
        why = why_ended(ended, errors.read_text(encoding="utf-8", errors="replace"), job.limit_s)
        lost = remaining if begun is None else [file for file in remaining if file["name"] == begun]
        outcomes |= {file["name"]: why for file in lost}
        remaining = [file for file in remaining if file not in lost]
    return outcomes


def _told(printed: str) -> tuple[dict[str, str | None], str | None]:
    """Results printed by the runner for each finished file, and the file that it was running."""
    outcomes: dict[str, str | None] = {}
    begun = None
    for line in printed.splitlines():
        if not line.startswith("{"):
            continue
        said = json.loads(line)
        begun = said.get("begun", begun)
        if "done" in said:
            outcomes[said["done"]] = None
        elif "failed" in said:
            outcomes[said["failed"]] = said["why"]
    return outcomes, None if begun in outcomes else begun


def why_ended(ended: Ended, errors: str, limit_s: float) -> str:
    """Reason why a runner ended before it was done, in a few words."""
    if ended.returncode is None:
        return f"not done after {limit_s:.0f} s"
    if ended.returncode == -signal.SIGILL:
        return ILLEGAL_INSTRUCTION
    if ended.returncode < 0:
        return f"ended by {signal.Signals(-ended.returncode).name}"
    lines = [line for line in errors.splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"exit code {ended.returncode}"
