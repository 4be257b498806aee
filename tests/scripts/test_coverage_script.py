"""The coverage script: its counts, its resume, and its text for a model that fails."""

from __future__ import annotations

import importlib.util
import io
import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from repository import ROOT
from zoo_coverage.case import CRASH, FAILED, NOT_OURS, OK, Outcome

_SCRIPT = ROOT / "scripts" / "coverage.py"


@cache
def script() -> ModuleType:
    """The script, loaded by its path: ``coverage`` is also the name of a well-known package."""
    spec = importlib.util.spec_from_file_location("coverage_script", _SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["coverage_script"] = module
    spec.loader.exec_module(module)
    return module


def test_table_shows_the_line_that_matters() -> None:
    outcomes = [
        Outcome("fine", int8_nodes=7, max_lsb=0),
        Outcome("bad", CRASH, "Traceback\n  File\nZeroDivisionError: oh\n"),
        Outcome("refused", FAILED, "Net cannot\n  why: of this"),
    ]
    columns = {c.header: list(c.cells) for c in script().table_of(outcomes).columns}
    assert columns["model"] == ["fine", "bad", "refused"]
    assert columns["int8"] == ["7", "0", "0"]
    assert columns["reason"] == ["", "ZeroDivisionError: oh", "Net cannot"]


def test_the_share_is_of_what_torch_takes() -> None:
    outcomes = [Outcome("a"), Outcome("b"), Outcome("c", FAILED), Outcome("d", CRASH), Outcome("e", NOT_OURS)]
    told = script().summary(outcomes)
    assert told == "2 of 4 ok (50.0 %), 1 without a clear error; 1 more that torch can neither trace nor export"
    assert script().summary([Outcome("a")]) == "1 of 1 ok (100.0 %), 0 without a clear error"
    assert script().summary([]).startswith("0 of 0 ok (0.0 %)")


def test_a_stopped_run_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file, done = tmp_path / "found.json", list[str]()

    def cover(spec: str, limit: float) -> Outcome:
        if len(done) == 2:
            done.append("stopped")
            raise KeyboardInterrupt
        done.append(spec)
        return Outcome(spec, seconds=limit)

    monkeypatch.setattr(script(), "in_process", cover)
    arguments = ["--models", "timm/x", "a", "b", "--json", str(file), "--limit", "5"]
    with pytest.raises(KeyboardInterrupt):
        script().main(arguments, io.StringIO())
    assert [entry["name"] for entry in json.loads(file.read_text())] == ["timm/x", "torchvision/a"]
    assert script().main(arguments, io.StringIO()) == 0
    assert done == ["timm/x", "torchvision/a", "stopped", "torchvision/b"]
    assert [entry["seconds"] for entry in json.loads(file.read_text())] == [5.0] * 3


def test_of_a_family_the_smallest_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script(), "timm_families", lambda: {"x": ["x_large", "x_small"], "y": ["y"]})
    monkeypatch.setattr(script(), "smallest_of", lambda names: names[-1])
    monkeypatch.setattr(script(), "in_process", lambda spec, _: Outcome(spec))
    progress = io.StringIO()
    assert script().main(["--timm"], progress) == 0
    assert [line.split()[1] for line in progress.getvalue().splitlines()] == ["timm/x_small", "timm/y"]


@pytest.mark.parametrize(
    ("done", "status", "reason"),
    [
        (subprocess.TimeoutExpired("python", 5.0), FAILED, "not done after 5 s"),
        (-9, FAILED, "its process was killed, most likely for want of memory"),
        (-11, CRASH, "exit code -11\noh no"),
    ],
)
def test_what_ends_the_process_does_not_end_the_run(
    monkeypatch: pytest.MonkeyPatch, done: Any, status: str, reason: str
) -> None:
    def run(*_: object, **__: object) -> subprocess.CompletedProcess[str]:
        if isinstance(done, BaseException):
            raise done
        return subprocess.CompletedProcess([], done, "", "oh no")

    monkeypatch.setattr(subprocess, "run", run)
    outcome = script().in_process("timm/x", 5.0)
    assert (outcome.status, outcome.reason) == (status, reason)


@pytest.mark.slow  # a real net
def test_squeezenet_in_a_process() -> None:
    outcome = script().in_process("torchvision/squeezenet1_1", 300.0)
    assert (outcome.status, outcome.reason, outcome.captured_by) == (OK, "", "trace")
    assert outcome.int8_nodes > 20 and outcome.max_lsb_at_any_node == 0
