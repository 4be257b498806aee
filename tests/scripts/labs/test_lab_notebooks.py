"""Notebooks of the labs: a cell for each section, kept up to date, and they run where jupytext is installed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from lab_report import Lab, LabReport, LabSettings
from notebook_cells import begin_notebook, settings_of_notebook
from notebooks import LABS, executed, lab_named, main, percent_script
from repository import ROOT


@pytest.mark.parametrize("name", LABS)
def test_the_percent_script_is_up_to_date_and_has_every_section(name: str) -> None:
    lab = lab_named(name)
    text = percent_script(lab, "../../scripts/labs")
    assert (ROOT / "docs" / "labs" / f"{name}.py").read_text() == text, (
        "run scripts/labs/notebooks.py --without-running"
    )
    for section in lab.sections:
        assert text.count(f"run_and_show({name}.{section.__name__}, lab)") == 1
        assert section.__module__ == name or hasattr(sys.modules[name], section.__name__)
    compile(text, f"{name}.py", "exec")


def test_the_environment_says_how_a_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("FXPASSES_LAB_FULL", "FXPASSES_LAB_WEIGHTS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("FXPASSES_DATA", str(tmp_path))
    monkeypatch.setenv("FXPASSES_LAB_OUT", str(tmp_path / "out"))
    assert settings_of_notebook("driving") == LabSettings(tmp_path, tmp_path / "out" / "driving", True)
    monkeypatch.setenv("FXPASSES_LAB_FULL", "1")
    monkeypatch.setenv("FXPASSES_LAB_WEIGHTS", "w.pt")
    assert settings_of_notebook("driving") == LabSettings(tmp_path, tmp_path / "out" / "driving", False, Path("w.pt"))


def test_a_lab_begins_from_its_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FXPASSES_LAB_OUT", str(tmp_path))
    found: list[LabReport] = []

    def begin(report: LabReport) -> Any:
        found.append(report)
        return report

    assert begin_notebook(Lab("tiny", "A tiny lab", begin, ())) is found[0]
    assert found[0].settings.out == tmp_path / "tiny"


def test_scripts_go_where_they_are_asked_to(tmp_path: Path) -> None:
    main(["--only", "driving", "--out", str(tmp_path), "--without-running"])
    assert [path.name for path in tmp_path.iterdir()] == ["driving.py"]


TINY = """\
# %% [markdown]
# # A tiny lab

# %%
import sys

sys.path.insert(0, {folder!r})
import tiny_lab
from notebook_cells import begin_notebook, run_and_show

lab = begin_notebook(tiny_lab.LAB)

# %%
run_and_show(tiny_lab.count, lab)
"""
TINY_LAB = """\
from types import SimpleNamespace

from lab_report import Lab


def count(lab):
    "1. How many."
    lab.report.answer("1", "how many", 3)
    lab.report.table("apples", ("kind", "how many"), [["red", 3]])
    lab.report.plot("apples", lambda axes: axes.plot([1, 2]))


LAB = Lab("tiny_lab", "A tiny lab", lambda report: SimpleNamespace(report=report), (count,))
"""


@pytest.mark.slow
def test_a_notebook_shows_answers_tables_and_plots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("jupytext", reason='needs pip install "fxpasses[labs]"')
    pytest.importorskip("nbclient", reason='needs pip install "fxpasses[labs]"')
    monkeypatch.setenv("FXPASSES_LAB_OUT", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{tmp_path}")
    (tmp_path / "tiny_lab.py").write_text(TINY_LAB)
    notebook = executed(TINY.format(folder=str(ROOT / "scripts" / "labs")), tmp_path)
    outputs = notebook.cells[-1].outputs
    assert "| 1 | how many | 3 |" in outputs[0]["data"]["text/markdown"]
    assert "| red | 3 |" in outputs[1]["data"]["text/markdown"]
    assert outputs[2]["data"]["image/png"]
