"""The coverage script: what it counts, and what it says of a model that fails."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
import torch

_SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "coverage.py"


@cache
def script() -> ModuleType:
    """By its path: ``coverage`` is also the name of a well-known package."""
    spec = importlib.util.spec_from_file_location("coverage_script", _SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["coverage_script"] = module
    spec.loader.exec_module(module)
    return module


def test_all_classifiers_are_listed() -> None:
    names = script().classifiers()
    assert len(names) == len(set(names)) >= 80
    assert set(script().OTHER_SIZES) <= set(names)


def test_sqnr() -> None:
    expected = torch.tensor([3.0, 4.0])
    assert script()._sqnr_db(expected, expected + torch.tensor([0.3, 0.4])) == pytest.approx(20.0, abs=1e-4)


def test_a_name_nobody_knows_fails_clearly() -> None:
    outcome = script().cover("resnet0")
    assert (outcome.status, outcome.step) == ("failed", "build")
    assert "resnet0" in outcome.reason


def test_what_escapes_is_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    def escape(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(script(), "load_model", escape)
    outcome = script().cover("resnet18")
    assert outcome.status == "CRASH" and "ZeroDivisionError: oh" in outcome.reason


def test_table_shows_the_line_that_matters() -> None:
    made = script().Outcome
    outcomes = [
        made("fine", int8_nodes=7, max_lsb=0),
        made("bad", "CRASH", "Traceback\n  File\nZeroDivisionError: oh\n"),
    ]
    columns = {c.header: list(c.cells) for c in script()._table(outcomes).columns}
    assert columns["model"] == ["fine", "bad"]
    assert columns["int8"] == ["7", "0"]
    assert columns["reason"] == ["", "ZeroDivisionError: oh"]


@pytest.mark.slow  # a real net
def test_squeezenet() -> None:
    outcome = script().cover("squeezenet1_1")
    assert (outcome.status, outcome.reason) == ("ok", "")
    assert outcome.int8_nodes > 20 and outcome.max_lsb_at_any_node == 0
