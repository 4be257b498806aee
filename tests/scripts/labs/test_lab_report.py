"""scripts/labs/lab_report.py: answers are finite numbers, each question once, and all of it is written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from lab_report import Lab, LabReport, LabSettings, answer_lines, cell_text, run_lab, settings_of, title_of


@dataclass
class State:
    report: LabReport


def _report(tmp_path: Path) -> LabReport:
    return LabReport("tiny", "A tiny lab", LabSettings(tmp_path / "data", tmp_path / "out", True))


def _counts(state: State) -> None:
    """1. How many

    Of everything.
    """
    state.report.answer("1.1", "how many", 12_345, "apples", "apples")
    state.report.answer("1.2", "how long", 0.123456, "ms", "times", spread=0.01)
    state.report.table("apples", ("kind", "how many"), [["red", 3], ["green", None]])
    state.report.plot("apples", lambda axes: axes.plot([1, 2], [3, 4]))
    state.report.remark("Counted twice.")


def test_a_lab_ends_in_its_files(tmp_path: Path) -> None:
    settings = LabSettings(tmp_path, tmp_path / "out", quick=True)
    report = run_lab(Lab("tiny", "A tiny lab", State, (_counts,)), settings)
    document = json.loads((tmp_path / "out" / "report.json").read_text())
    assert document["lab"] == "tiny" and document["quick"] is True
    assert [answer["text"] for answer in document["answers"]] == ["12,345 apples", "0.1235 ± 0.01 ms"]
    assert document["environment"]["cpu"]
    assert document["seconds"]["_counts"] == report.seconds["_counts"]
    assert (tmp_path / "out" / document["plots"]["apples"]).read_bytes().startswith(b"\x89PNG")
    text = (tmp_path / "out" / "report.md").read_text()
    assert "| 1.2 | how long | 0.1235 ± 0.01 ms | times |" in text
    assert "| green |  |" in text and "![apples](apples.png)" in text and "- Counted twice." in text


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_number_is_no_answer(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError, match=r"question 1\.1 is (nan|inf), and no number"):
        _report(tmp_path).answer("1.1", "how many", value)


def test_a_question_is_answered_once(tmp_path: Path) -> None:
    report = _report(tmp_path)
    report.answer("1.1", "how many", 1)
    with pytest.raises(ValueError, match=r"question 1\.1 has an answer already"):
        report.answer("1.1", "how many", 2)


def test_rows_fit_their_columns(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="table apples: a row of 1 cells for 2 columns"):
        _report(tmp_path).table("apples", ("kind", "how many"), [["red"]])


def test_texts_are_short() -> None:
    assert title_of(_counts) == "1. How many"
    assert [cell_text(cell) for cell in (1.23456, 7, None, "x")] == ["1.235", "7", "", "x"]
    assert answer_lines([])[1] == "|---|---|---|---|"


def test_the_command_line_names_data_results_and_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FXPASSES_DATA", str(tmp_path))
    assert settings_of("tiny", []) == LabSettings(tmp_path, Path("labs/tiny"), False)
    chosen = settings_of("tiny", ["--quick", "--out", "here", "--data", "there", "--weights", "w.pt"])
    assert chosen == LabSettings(Path("there"), Path("here"), True, Path("w.pt"))
