"""Contestants: one that is not installed is reported, and one that failed has a row for each of its files."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
from peers import contestants as peers
from peers.case import Case
from peers.contestants import CONTESTANTS, Entry, entries_of
from peers.process import Made

CASE = Case(Path("nowhere"), "net", None, 0)


def test_every_contestant_s_function_exists() -> None:
    for contestant in CONTESTANTS.values():
        module, _, function = contestant.function.partition(":")
        assert callable(getattr(import_module(module), function))


def test_a_peer_that_is_not_installed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "find_spec", lambda name: None)
    why_not = 'not installed (pip install "fxpasses[peers]")'
    assert entries_of("nncf", CASE, 1.0) == [Entry("NNCF (ort)", None, Made(why_not=why_not))]


def test_whoever_fails_is_listed_under_all_its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made(why_not="it broke")
    monkeypatch.setattr(peers, "run_in_process", lambda *_: made)
    assert entries_of("fxpasses", CASE, 1.0) == [
        Entry("fxpasses (torch)", None, made),
        Entry("fxpasses (ort)", None, made),
    ]


def test_a_file_that_cannot_be_opened_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "minmax.onnx").write_bytes(b"no model")
    monkeypatch.setattr(peers, "run_in_process", lambda *_: Made(1.5))
    (entry,) = entries_of("minmax", Case(tmp_path, "net", None, 0), 1.0)
    assert entry.runner is None
    assert entry.made.seconds == 1.5
    assert entry.made.why_not is not None
    assert entry.made.why_not.startswith("minmax.onnx cannot be opened: onnxruntime ")
