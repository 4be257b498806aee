"""A cache whose folders are complete or not there, also if their making is interrupted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from emulation.cache import made_once, remove_leftovers, size_bytes


def fill(folder: Path) -> None:
    (folder / "part").write_text("whole")


def stop_half_way(folder: Path) -> None:
    (folder / "part").write_text("ha")
    raise KeyboardInterrupt


def test_is_made_at_the_first_call_only(tmp_path: Path) -> None:
    calls: list[Path] = []

    def make(folder: Path) -> None:
        calls.append(folder)
        fill(folder)

    wanted = tmp_path / "cache" / "thing"
    assert made_once(wanted, make) == made_once(wanted, make) == wanted
    assert len(calls) == 1 and calls[0] != wanted
    assert [p.name for p in wanted.parent.iterdir()] == ["thing"]


def test_what_was_interrupted_is_not_there_and_is_made_again(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        made_once(tmp_path / "thing", stop_half_way)
    assert not list(tmp_path.iterdir())
    assert (made_once(tmp_path / "thing", fill) / "part").read_text() == "whole"


def test_another_process_may_be_faster(tmp_path: Path) -> None:
    def make_while_another_does(folder: Path) -> None:
        (tmp_path / "made").mkdir()
        fill(tmp_path / "made")
        (folder / "part").write_text("mine")

    assert (made_once(tmp_path / "made", make_while_another_does) / "part").read_text() == "whole"
    assert [p.name for p in tmp_path.iterdir()] == ["made"]


def test_leftovers_of_processes_that_are_gone_are_removed(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for process in (gone.pid, os.getpid()):
        stop = tmp_path / f".making-{process}-thing"
        stop.mkdir()
        fill(stop)
    assert remove_leftovers(tmp_path) == [f".making-{gone.pid}-thing"]
    assert [p.name for p in tmp_path.iterdir()] == [f".making-{os.getpid()}-thing"]


def test_size_counts_a_linked_file_once(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"\0" * 1000)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert 1000 <= size_bytes(tmp_path) < 1500
