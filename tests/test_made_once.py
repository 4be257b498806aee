"""Shared files are made once, also when two processes ask at the same time, and again after an error."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import made_once as shared
import pytest
from made_once import made_once
from repository import RUN_FOLDER


@pytest.fixture
def run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(os.environ, RUN_FOLDER, str(tmp_path))
    return tmp_path


def test_it_is_made_by_the_first_who_asks(run_folder: Path) -> None:
    made: list[int] = []
    begun, go = threading.Event(), threading.Event()

    def slowly(path: Path) -> None:
        begun.set()
        assert go.wait(30)
        made.append(path.write_text("content"))

    found: list[str] = []
    asking = [threading.Thread(target=lambda: found.append(made_once("x", slowly).read_text())) for _ in range(3)]
    for thread in asking:
        thread.start()
    assert begun.wait(30) and not found
    go.set()
    for thread in asking:
        thread.join(30)
    assert found == ["content"] * 3 and len(made) == 1
    assert made_once("x", slowly) == run_folder / "x"


@pytest.mark.usefixtures("run_folder")
def test_after_an_error_it_is_tried_again() -> None:
    def broken(path: Path) -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        made_once("x", broken)
    assert made_once("x", Path.mkdir).is_dir()


def test_nobody_waits_for_ever(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "LONGEST_S", 0.1)
    (run_folder / "x.begun").touch()
    with pytest.raises(AssertionError, match="another process has not made"):
        made_once("x", Path.mkdir)
