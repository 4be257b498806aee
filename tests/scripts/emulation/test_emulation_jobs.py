"""Any file may crash a runner: it is reported with the reason, and the other files are still run."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from emulation.children import Children, side_by_side
from emulation.jobs import ILLEGAL_INSTRUCTION, Command, Job, run_job

RUNNER = """
import json, os, signal, sys, time
print("something that is not JSON", flush=True)
for file in json.load(open(sys.argv[1]))["files"]:
    print(json.dumps({"begun": file["name"]}), flush=True)
    if "signal" in file:
        os.kill(os.getpid(), getattr(signal, file["signal"]))
    if "exit" in file:
        sys.exit(file["exit"])
    time.sleep(file.get("seconds", 0))
    told = {"failed": file["name"], "why": file["why"]} if "why" in file else {"done": file["name"]}
    print(json.dumps(told), flush=True)
"""


def job(folder: Path, *files: dict[str, object], program: str = RUNNER, limit_s: float = 60.0) -> Job:
    def command(description: Path) -> Command:
        return [sys.executable, "-c", program, str(description)], dict(os.environ)

    return Job(command, files, folder / "job", limit_s)


@pytest.fixture
def children() -> Children:
    return Children()


def test_the_rest_goes_on_behind_a_file_that_kills_its_process(tmp_path: Path, children: Children) -> None:
    files: list[dict[str, object]] = [
        {"name": "good"},
        {"name": "illegal", "signal": "SIGILL"},
        {"name": "refused", "why": "no such operator"},
        {"name": "crash", "signal": "SIGSEGV"},
        {"name": "last words", "exit": "bad luck"},
        {"name": "silent", "exit": 7},
        {"name": "good, too"},
    ]
    assert run_job(job(tmp_path, *files), children) == {
        "good": None,
        "illegal": ILLEGAL_INSTRUCTION,
        "refused": "no such operator",
        "crash": "ended by SIGSEGV",
        "last words": "bad luck",
        "silent": "exit code 7",
        "good, too": None,
    }


def test_who_dies_at_import_has_run_nothing(tmp_path: Path, children: Children) -> None:
    program = "import os, signal; os.kill(os.getpid(), signal.SIGILL)"
    outcomes = run_job(job(tmp_path, {"name": "a"}, {"name": "b"}, program=program), children)
    assert outcomes == {"a": ILLEGAL_INSTRUCTION, "b": ILLEGAL_INSTRUCTION}


def test_a_file_that_takes_too_long_is_stopped(tmp_path: Path, children: Children) -> None:
    outcomes = run_job(job(tmp_path, {"name": "slow", "seconds": 60}, limit_s=0.5), children)
    assert outcomes == {"slow": "not done after 0 s"}


def test_nobody_outlives_the_block(tmp_path: Path) -> None:
    started = time.monotonic()
    with Children() as family:

        def work(number: int) -> object:
            if number:
                raise ValueError("stop")
            return run_job(job(tmp_path, {"name": "slow", "seconds": 60}), family)

        with pytest.raises(ValueError, match="stop"):
            side_by_side(work, [1, 0], family, jobs=2)
    assert time.monotonic() - started < 30


def test_results_come_in_the_order_given(children: Children) -> None:
    def work(number: int) -> int:
        time.sleep(0.05 * number)
        return number * number

    assert side_by_side(work, [3, 1, 2], children, jobs=3) == [9, 1, 4]
