"""Runs every file on one CPU, compares it with exact arithmetic, and on ARM counts its instructions."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from emulation.children import Children
from emulation.cpus import ARM, Cpu, Emulation, Moved, WholeMachine, command_on
from emulation.fetching import ARM_TORCH, PLUGIN
from emulation.int8_files import BATCH, Int8File, arrays_of
from emulation.jobs import Job, run_job
from emulation.outcome import ONNXRUNTIME, TORCH, Difference, Instructions, Outcome, difference_of, instructions_of

RUNNER = Path(__file__).with_name("runner.py")
TORCH_RUNNER = Path(__file__).with_name("torch_runner.py")
RUNS = 3
"""Number of runs for which instructions are counted; the first one prepares."""
LIMIT_S = 3600.0


@dataclass(frozen=True)
class Check:
    """Files to run on a CPU in a runtime.

    Attributes:
        folder: for outputs and logs.
        emulation: None on this machine.
        counting: to count instructions with; None where they are not counted.
        use_options: whether onnxruntime is told what a file needs.
        why_not: why the CPU cannot be emulated.
        why_uncounted: why instructions cannot be counted.
    """

    cpu: Cpu
    runtime: str
    files: Sequence[Int8File]
    folder: Path
    emulation: Emulation | WholeMachine | None = None
    counting: Emulation | None = None
    use_options: bool = True
    why_not: str | None = None
    why_uncounted: str | None = None

    def options_for(self, file: Int8File) -> dict[str, str]:
        """Session options that onnxruntime gets for a file on this CPU."""
        is_told = self.runtime == ONNXRUNTIME and self.cpu.saturates and self.use_options
        return dict(file.needs) if is_told else {}

    @property
    def version(self) -> str:
        if self.runtime == TORCH and isinstance(self.emulation, WholeMachine):
            return self.emulation.torch
        return ARM_TORCH if self.runtime == TORCH and self.cpu.architecture == ARM else version(self.runtime)


def outcomes_of(check: Check, children: Children) -> list[Outcome]:
    """Outcome of each file."""
    if check.why_not is not None:
        return [_outcome(check, file, why_not=check.why_not, skipped=True) for file in check.files]
    entries = [_entry(check, file) for file in check.files]
    why = run_job(_job(check, entries, check.folder, None), children)
    counted = _counted(check, [e for e in entries if why[e["name"]] is None], children)
    return [
        _told(check, file, entry, why[file.name], counted) for file, entry in zip(check.files, entries, strict=True)
    ]


def _told(
    check: Check, file: Int8File, entry: dict[str, Any], why: str | None, counted: dict[str, Instructions] | str
) -> Outcome:
    """Outcome of a file that was tried."""
    if why is not None:
        return _outcome(check, file, why_not=why)
    difference = _compared(file, Path(entry["outputs"]))
    if isinstance(counted, str):
        return _outcome(check, file, difference=difference, why_uncounted=counted)
    return _outcome(check, file, difference=difference, instructions=counted.get(file.name))


def _outcome(check: Check, file: Int8File, **known: Any) -> Outcome:
    options = check.options_for(file)
    return Outcome(file.name, file.net, file.target, check.cpu.name, check.runtime, check.version, options, **known)


def _entry(check: Check, file: Int8File) -> dict[str, Any]:
    """Entry of a file in the form that the runners read."""
    return {
        "name": file.name,
        "path": str(file.folder / "model.onnx"),
        "pt2": str(file.folder / "model.pt2"),
        "inputs": str(file.folder / "inputs.npz"),
        "outputs": str(check.folder / f"{_short(file.name)}.npz"),
        "options": check.options_for(file),
        "engine": None,
        "batch": BATCH,
    }


def _short(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def _job(check: Check, entries: Sequence[dict[str, Any]], folder: Path, marks: Path | None) -> Job:
    emulation, runner = check.emulation, RUNNER if check.runtime == ONNXRUNTIME else TORCH_RUNNER
    plugin = None
    if marks is not None:
        assert check.counting is not None
        emulation, plugin = check.counting, f"{check.counting.qemu / PLUGIN},out={marks}"

    moved = _moved(entries, check.runtime) if isinstance(emulation, WholeMachine) else Moved()

    def command(description: Path) -> tuple[list[str], dict[str, str]]:
        return command_on(check.cpu, emulation, [str(runner), str(description)], plugin, moved)

    return Job(command, entries, folder, LIMIT_S)


def _moved(entries: Sequence[dict[str, Any]], runtime: str) -> Moved:
    """Files of the entries that a runtime on a PC of its own reads, and those that it writes."""
    model = "path" if runtime == ONNXRUNTIME else "pt2"
    read = {Path(entry[key]) for entry in entries for key in (model, "inputs")}
    return Moved(tuple(sorted(read)), tuple(Path(entry["outputs"]) for entry in entries))


def _counted(check: Check, entries: Sequence[dict[str, Any]], children: Children) -> dict[str, Instructions] | str:
    """Instructions of one inference of each file, all in one process; or the reason why they were not counted."""
    if check.counting is None or not entries:
        return check.why_uncounted or {}
    folder = check.folder / "count"
    marks = folder / "marks.txt"
    once = [{**entry, "runs": RUNS} for entry in entries]
    failed = [why for why in run_job(_job(check, once, folder, marks), children).values() if why]
    if failed:
        return failed[0]
    counts = instructions_of(marks.read_text(encoding="utf-8"), RUNS)
    return {entry["name"]: count for entry, count in zip(entries, counts, strict=True)}


def _compared(file: Int8File, outputs: Path) -> Difference:
    return difference_of(arrays_of(outputs), file.exact(), file.lsbs)
