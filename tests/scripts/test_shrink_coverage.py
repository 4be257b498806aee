"""The shrink coverage script: its measurements, and its text for a model that fails."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
from repository import ROOT

_SCRIPTS = ROOT / "scripts"


@cache
def script(name: str) -> ModuleType:
    """The script, loaded by its path: ``coverage``, which it imports, is also the name of a well-known package."""
    spec = importlib.util.spec_from_file_location(name, _SCRIPTS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(name, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def cover() -> ModuleType:
    script("coverage")
    return script("shrink_coverage")


def test_a_model_that_shrinks(cover: ModuleType) -> None:
    outcome = cover.cover("squeezenet1_1", 0.3)
    assert (outcome.status, outcome.layers, outcome.shrunk_layers) == ("ok", 26, 25)
    assert 0.5 < outcome.params < 0.6 and 0.5 < outcome.macs < 0.6
    assert outcome.relative_error < 1e-12
    assert outcome.kept == {"output is the output of the model": 1}


def test_a_difference_is_a_failure(cover: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cover, "mask_channels", lambda removal: removal.dependencies.gm)
    outcome = cover.cover("squeezenet1_1", 0.3)
    assert outcome.status == "failed" and "of the largest logit" in outcome.reason


def test_errors_are_told(cover: ModuleType) -> None:
    assert cover.cover("squeezenet1_1", 1.5).status == "refused"


def test_the_summary(
    cover: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(
        sys, "argv", ["shrink_coverage.py", "--models", "squeezenet1_1", "--json", str(tmp_path / "found.json")]
    )
    assert cover.main() == 0
    assert "1 of 1 shrink exactly" in capsys.readouterr().out
    assert (tmp_path / "found.json").exists()
