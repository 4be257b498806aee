"""Right and wrong states after a fault: each kind of error is recognised."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import pytest
from faults.assessing import Assessment, after_a_fault, after_a_run
from faults.children import Ended
from faults.commands import OUT, Command, prepare
from faults.plan import CLOCK, Fault
from faults.state import MIXED, NEW, OLD, Snapshot, left_behind, snapshot, state_of, unreadable

COMMAND = Command("train", kept=("out.journal.jsonl",))
KILLED = Fault("kill-0", COMMAND, signal.SIGKILL, CLOCK, 0.5)
STOPPED, PRESSED, FULL = (replace(KILLED, signal=number) for number in (signal.SIGTERM, signal.SIGINT, None))
TOLD = "error: cannot write x\n  why: the disk is full\n  fix: free some space\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A result of two files."""
    prepare(tmp_path)
    (tmp_path / OUT).mkdir()
    _replace(tmp_path, "a.json", "b.json", text="1")
    return tmp_path


def _replace(root: Path, *names: str, text: str = "2") -> None:
    for name in names:
        (root / "new").write_text(text)
        (root / "new").replace(root / OUT / name)


def _assessed(
    fault: Fault, code: int | None, root: Path, before: Snapshot, said: str = "", bad: str = ""
) -> Assessment:
    return after_a_fault(fault, Ended(code, said, 1.0), root, before, lambda: bad)


def test_old_new_and_mixed(root: Path) -> None:
    before = snapshot(root / OUT)
    assert state_of(before, root / OUT) == OLD
    _replace(root, "a.json", text="1")
    assert state_of(before, root / OUT) == MIXED  # though it has the same bytes
    _replace(root, "b.json")
    assert state_of(before, root / OUT) == NEW
    (root / OUT / "b.json").unlink()
    assert state_of(before, root / OUT) == MIXED


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [(KILLED, -9, ""), (PRESSED, 130, "interrupted"), (STOPPED, 143, ""), (STOPPED, -15, ""), (FULL, 2, TOLD)],
)
def test_what_is_right(fault: Fault, code: int, said: str, root: Path) -> None:
    (root / "out.journal.jsonl").touch()
    assessed = _assessed(fault, code, root, snapshot(root / OUT), said)
    assert assessed == Assessment(OLD, needs_a_run=code == -9)


def test_what_came_too_late_has_a_new_result(root: Path) -> None:
    before = snapshot(root / OUT)
    assert "the folder is old" in str(_assessed(PRESSED, 0, root, before).why_wrong)
    _replace(root, "a.json", "b.json")
    assert _assessed(PRESSED, 0, root, before) == Assessment(NEW, came_too_late=True)
    assert "cut short" in str(_assessed(PRESSED, 0, root, before, bad="cut short").why_wrong)
    assert "the folder is new" in str(_assessed(FULL, 2, root, before, TOLD).why_wrong)


@pytest.mark.parametrize(
    ("fault", "code", "said", "why"),
    [
        (FULL, 70, "a defect", "ended with 70: a defect"),
        (FULL, -6, "terminate called", "ended with -6"),
        (FULL, 2, "disk full", "not told"),
        (FULL, 2, TOLD + TOLD, "not told"),
        (PRESSED, 130, "Traceback (most", "it said"),
        (STOPPED, 143, "Exception ignored in", "it said"),
        (PRESSED, 1, "", "ended with 1"),
        (STOPPED, None, "", "did not end"),
    ],
)
def test_what_is_wrong(fault: Fault, code: int | None, said: str, why: str, root: Path) -> None:
    assert why in str(_assessed(fault, code, root, snapshot(root / OUT), said).why_wrong)


def test_a_mixture_is_wrong(root: Path) -> None:
    before = snapshot(root / OUT)
    _replace(root, "a.json")
    assert "two results" in str(_assessed(PRESSED, 130, root, before).why_wrong)
    assert "two results" in str(_assessed(KILLED, -9, root, before).why_wrong)


def test_moves_of_a_killed_process_are_finished_first(root: Path) -> None:
    before = snapshot(root / OUT)
    (root / OUT / ".fxpasses-1" / "ready").mkdir(parents=True)
    (root / OUT / ".fxpasses-1" / "ready" / "b.json").write_text("2")
    _replace(root, "a.json")
    assert _assessed(KILLED, -9, root, before) == Assessment(NEW, was_finished=True, needs_a_run=True)


def test_what_is_left_behind(root: Path) -> None:
    before = snapshot(root / OUT)
    (root / OUT / ".fxpasses-1").mkdir()
    (root / "tmp" / "scratch").touch()
    assert left_behind(root, frozenset()) != []
    assert "left behind: out/.fxpasses-1, tmp/scratch" in str(_assessed(STOPPED, 143, root, before).why_wrong)
    killed = _assessed(KILLED, -9, root, before)
    assert killed.why_wrong is None and killed.needs_a_run
    ended = Ended(0, "", 1.0)
    assert "did not replace" in str(after_a_run(killed, COMMAND, ended, root, before).why_wrong)
    _replace(root, "a.json", "b.json")
    assert "left behind by the next run: out/.fxpasses-1" in str(
        after_a_run(killed, COMMAND, ended, root, before).why_wrong
    )
    (root / OUT / ".fxpasses-1").rmdir()
    assert after_a_run(killed, COMMAND, ended, root, before) == killed
    assert "ended with 70" in str(after_a_run(killed, COMMAND, replace(ended, code=70), root, before).why_wrong)


@pytest.mark.parametrize("name", "a.json b.jsonl c.html d.png e.npz f.pt g.onnx h.int8.pt2 report.json".split())
def test_files_cut_short_are_not_readable(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b'{"a": ')
    assert len(unreadable(tmp_path)) == 1
