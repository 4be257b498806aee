"""Measurements that are kept after an interruption."""

from __future__ import annotations

from pathlib import Path

import pytest

from fxpasses.errors import InputError
from fxpasses.sensitivity.search.journal import Journal

ABOUT = {"model": "net", "images": 5}


def test_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "journal.jsonl"
    Journal(path, ABOUT).put(["conv1", 0.5], {"top1": 80.0})
    again = Journal(path, ABOUT)
    assert again.get(["conv1", 0.5]) == {"top1": 80.0}
    assert again.get(["conv1", 0.6]) is None
    assert len(again) == 1


def test_a_line_cut_off_by_a_crash_is_ignored_and_the_next_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path, ABOUT)
    journal.put("a", {"x": 1})
    journal.put("b", {"x": 2})
    path.write_bytes(path.read_bytes()[:-7])
    again = Journal(path, ABOUT)
    assert (again.get("a"), again.get("b")) == ({"x": 1}, None)
    again.put("c", {"x": 3})
    assert Journal(path, ABOUT).get("c") == {"x": 3}


def test_about_something_else_it_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path, ABOUT).put("a", {"x": 1})
    other = Journal(path, {**ABOUT, "images": 6})
    assert other.get("a") is None
    assert other.was_about_something_else
    assert Journal(path, ABOUT).get("a") is None


def test_a_file_that_is_no_journal_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "j").write_bytes(b"\xff\xfe 1 2 3\n[4]\n")
    assert len(Journal(tmp_path / "j", ABOUT)) == 0


def test_without_a_path_it_remembers_all_the_same(tmp_path: Path) -> None:
    journal = Journal(None, ABOUT)
    journal.put("a", {"x": 1})
    assert journal.get("a") == {"x": 1}


def test_a_folder_in_the_way(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write the journal"):
        Journal(tmp_path, ABOUT)
