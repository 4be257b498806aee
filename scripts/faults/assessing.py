"""Checks the state after a fault: one result, complete and readable; the promised exit code; nothing left behind."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from faults.children import Ended
from faults.commands import MINE, OUT, TEMPORARY, Command
from faults.plan import Fault
from faults.state import MIXED, NEW, OLD, Snapshot, left_behind, state_of
from fxpasses.export.files import finish_killed

DONE, BAD_INPUT = 0, 2
_CODES: dict[signal.Signals | None, tuple[int, ...]] = {
    signal.SIGKILL: (-signal.SIGKILL,),
    signal.SIGINT: (130,),
    signal.SIGTERM: (128 + signal.SIGTERM, -signal.SIGTERM),  # the second code: it came before the handler was set
    None: (BAD_INPUT,),
}


@dataclass(frozen=True)
class Assessment:
    """Assessment of one trial.

    Attributes:
        state: result that the folder holds.
        was_finished: it was killed between its moves, which had to be finished first.
        came_too_late: the command had ended, or the disk had enough space.
        needs_a_run: a killed process removes nothing; the next one must.
        why_wrong: the first problem; None if there is none.
    """

    state: str
    was_finished: bool = False
    came_too_late: bool = False
    needs_a_run: bool = False
    why_wrong: str | None = None


def after_a_fault(
    fault: Fault, ended: Ended, root: Path, before: Snapshot, unreadable: Callable[[], str]
) -> Assessment:
    """Assess a folder after a fault. After a kill the moves are finished first, as every command that opens the folder
    does.

    The files of an old result, unchanged byte by byte, were read when they were new.
    """
    state, is_killed = state_of(before, root / OUT), ended.code == -signal.SIGKILL
    was_finished = is_killed and state == MIXED
    if was_finished:
        finish_killed(root / OUT)
        state = state_of(before, root / OUT)
    why = _why_code_is_wrong(fault, ended, state) or _why_said_is_wrong(ended)
    if why is None and state == MIXED:
        why = "it holds parts of two results, or of one"
    if why is None and state == NEW and (refused := unreadable()):
        why = f"a file cannot be read: {refused}"
    left = left_behind(root, _expected(fault.command, before))
    if why is None and left and not is_killed:
        why = f"left behind: {', '.join(left)}"
    return Assessment(state, was_finished, ended.code == DONE, needs_a_run=is_killed, why_wrong=why)


def after_a_run(assessment: Assessment, command: Command, ended: Ended, root: Path, before: Snapshot) -> Assessment:
    """Assess the folder after the next run."""
    left = [path for path in left_behind(root, _expected(command, before)) if not path.startswith(f"{TEMPORARY}/")]
    if ended.code != DONE:
        return replace(assessment, why_wrong=f"the next run ended with {ended.code}: {ended.said}")
    if state_of(before, root / OUT) != NEW:
        return replace(assessment, why_wrong="the next run did not replace the result")
    if left:
        return replace(assessment, why_wrong=f"left behind by the next run: {', '.join(left)}")
    return assessment


def _why_code_is_wrong(fault: Fault, ended: Ended, state: str) -> str | None:
    if ended.code is None:
        return "it did not end"
    if ended.code == DONE:
        return None if state == NEW else f"it ended with {DONE}, and the folder is {state}"
    if ended.code not in _CODES[fault.signal]:
        return f"it ended with {ended.code}: {ended.said}"
    if fault.signal is None and state != OLD:
        return f"it ended with {ended.code}, and the folder is {state}"
    return None


def _why_said_is_wrong(ended: Ended) -> str | None:
    for word in ("Traceback", "Exception ignored", "terminate called"):
        if word in ended.said:
            return f"it said: {ended.said}"
    is_told = ended.said.count("error: ") == 1 and "\n  why: " in ended.said and "\n  fix: " in ended.said
    if ended.code == BAD_INPUT and not is_told:
        return f"it is not told: {ended.said}"
    return None


def _expected(command: Command, before: Snapshot) -> frozenset[str]:
    files = {f"{OUT}/{name}" for name in before}
    return frozenset({MINE, OUT, TEMPORARY, "__pycache__", *files, *command.kept})
