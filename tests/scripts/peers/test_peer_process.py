"""Contestants in separate processes: their numbers, and every kind of failure."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from peers.case import Case, write_case
from peers.process import Made, run_in_process

HELD = 64 << 20


def sleeps(case: Case) -> Callable[[], None]:
    return lambda: time.sleep(60)


def holds_memory(case: Case) -> Callable[[], None]:
    print("noise that is not JSON")

    def work() -> None:
        (case.folder / "made.bin").write_bytes(b"\1" * HELD)

    return work


def raises(case: Case) -> Callable[[], None]:
    raise ValueError("no such thing\nand a second line")


def is_killed(case: Case) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), signal.SIGSEGV)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))  # so that the process finds this file
    return write_case(tmp_path, "net", None, []).folder


def test_time_and_memory_are_the_work_s_own(folder: Path) -> None:
    made = run_in_process("test_peer_process:holds_memory", folder, 60)
    assert (folder / "made.bin").stat().st_size == HELD
    assert made.why_not is None
    assert made.seconds is not None and made.seconds > 0
    assert made.peak_bytes is not None and made.added_bytes is not None
    assert HELD / 2 < made.added_bytes < made.peak_bytes


@pytest.mark.parametrize(
    ("function", "limit", "why"),
    [
        ("sleeps", 0.01, "not done after 0 s"),
        ("raises", 60, "ValueError: no such thing"),
        ("is_killed", 60, "its process was ended by SIGSEGV"),
    ],
)
def test_failures_are_told(folder: Path, function: str, limit: float, why: str) -> None:
    assert run_in_process(f"test_peer_process:{function}", folder, limit) == Made(why_not=why)
