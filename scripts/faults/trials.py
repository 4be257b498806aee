"""One trial: a command over an older complete result, a fault during it, and a check of the state afterwards."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from faults.assessing import Assessment, after_a_fault, after_a_run
from faults.children import Child, Ended, fork, start
from faults.commands import OUT, TEMPORARY, Command, prepare, process_line
from faults.disks import Disk
from faults.moments import Counts, watch
from faults.plan import CLOCK, OPERATION, OPTIMISED_FILE, ROOM, Fault
from faults.state import snapshot, unreadable

LIMIT_S = 300.0
"""Time limit of one run; it takes seconds, but longer on a busy machine."""
TRIES, EARLIER = 4, 0.6


@dataclass(frozen=True)
class Undisturbed:
    """An undisturbed run: its duration, the number of its moments, and the size of its result."""

    seconds: float
    counts: Counts
    size_bytes: int


@dataclass(frozen=True)
class Trial:
    """One trial: its fault, the end of the child, and the assessment."""

    fault: Fault
    ended: Ended
    assessment: Assessment


class Bench:
    """Folders with an older result of each command, and the facts of undisturbed runs."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self.folder, self.disk = folder, disk
        self._known: dict[tuple[Command, bool], Undisturbed] = {}

    def run(self, fault: Fault) -> Trial:
        """Run a trial; if the fault came too late, try again with an earlier one."""
        trial = self._try(fault)
        for _ in range(TRIES):
            if not trial.assessment.came_too_late or trial.assessment.why_wrong is not None:
                break
            fault = replace(fault, at=fault.at * EARLIER, room=0)
            trial = self._try(fault)
        return trial

    def _try(self, fault: Fault) -> Trial:
        """Make the older result, run the command with the fault, and assess the result."""
        known = self._undisturbed(fault.command, fault.in_process)
        root = self._root(fault.command)
        if fault.signal is None:
            root = self._moved_to_the_disk(root)
        for name in fault.command.kept:  # from the beginning, not from where an older run stopped
            (root / name).unlink(missing_ok=True)
        before = snapshot(root / OUT)
        ended = self._disturbed(fault, root, known).end(LIMIT_S)
        self.disk.free()
        assessment = after_a_fault(fault, ended, root, before, lambda: _unreadable(root))
        if assessment.needs_a_run and assessment.why_wrong is None:
            again = _forked(fault.command, root).end(LIMIT_S)
            assessment = after_a_run(assessment, fault.command, again, root, before)
        if assessment.why_wrong is not None:
            shutil.rmtree(self._root(fault.command))  # the next trial begins with a good one
        return Trial(fault, ended, assessment)

    def _root(self, command: Command) -> Path:
        return self.folder / command.name

    def _moved_to_the_disk(self, root: Path) -> Path:
        for entry in self.disk.folder.iterdir():
            shutil.rmtree(entry)
        return Path(shutil.copytree(root, self.disk.folder / root.name))

    def _undisturbed(self, command: Command, in_process: bool) -> Undisturbed:
        """Run the command undisturbed, which also makes the older result; a separate process only measures its
        duration.
        """
        root = prepare(self._root(command))
        if (command, False) not in self._known or not (root / OUT).is_dir():
            self._known[command, False] = _first_run(command, root)
        if in_process and (command, True) not in self._known:
            ended = start(process_line(command, root), _environment(root)).end(LIMIT_S)
            assert ended.code == 0, ended.said
            forked = self._known[command, False]
            self._known[command, True] = Undisturbed(ended.seconds, forked.counts, forked.size_bytes)
        return self._known[command, in_process]

    def _disturbed(self, fault: Fault, root: Path, known: Undisturbed) -> Child:
        if fault.moment == CLOCK:
            assert fault.signal is not None
            line = process_line(fault.command, root)
            child = start(line, _environment(root)) if fault.in_process else _forked(fault.command, root)
            child.wait_until(child.is_ready, LIMIT_S)
            child.wait_until(lambda: False, fault.at * known.seconds)
            child.send(fault.signal)
            return child
        if fault.moment == ROOM:
            return _forked(fault.command, root, lambda: self.disk.leave(round(fault.at * known.size_bytes)))
        return _forked(fault.command, root, lambda: self._watch(fault, root, known))

    def _watch(self, fault: Fault, root: Path, known: Undisturbed) -> None:
        """Let the fault come at its moment; called in the child."""
        moments = known.counts.optimised_files if fault.moment == OPTIMISED_FILE else known.counts.operations
        chosen = 1 + int(fault.at * moments)

        def strike(number: int) -> None:
            if number == chosen and fault.signal is not None:
                os.kill(os.getpid(), fault.signal)
            elif number == chosen:
                self.disk.leave(fault.room)

        def nothing(_: int) -> None:
            pass

        watch(
            root,
            strike if fault.moment == OPERATION else nothing,
            strike if fault.moment == OPTIMISED_FILE else nothing,
        )


def _first_run(command: Command, root: Path) -> Undisturbed:
    """Run a command, and count its moments; each file that the next run replaces adds one."""
    counted = root.parent / f"{root.name}.counts"

    def counting() -> None:
        counts = watch(root, lambda _: None, lambda _: None)
        atexit.register(lambda: counted.write_text(f"{counts.operations} {counts.optimised_files}"))

    ended = _forked(command, root, counting).end(LIMIT_S)
    assert ended.code == 0 and not _unreadable(root), ended.said
    operations, optimised_files = map(int, counted.read_text().split())
    assert bool(optimised_files) == command.is_optimised
    files = [file for file in (root / OUT).rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    return Undisturbed(ended.seconds, Counts(operations + len(files), optimised_files), size)


def _forked(command: Command, root: Path, before: Callable[[], None] | None = None) -> Child:
    def work() -> None:
        from fxpasses.cli import main

        sys.argv = ["fxpasses", *command.line(root)]
        if before is not None:
            before()
        main()

    return fork(work, _environment(root))


def _environment(root: Path) -> dict[str, str]:
    return {"TMPDIR": str(root / TEMPORARY), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def _unreadable(root: Path) -> str:
    """Names of the files that cannot be read. They are read in a child, because reading starts threads, and this
    process must stay able to fork.
    """
    return fork(lambda: print("\n".join(unreadable(root / OUT))), {}).end(LIMIT_S).said.strip()
