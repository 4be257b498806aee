"""docs/labs.md: question, number and where, of each report, with the machine and the date."""

from __future__ import annotations

import json
from pathlib import Path

from answers_page import main, page
from lab_report import LabReport, LabSettings


def _document(tmp_path: Path) -> Path:
    report = LabReport("tiny", "A tiny lab", LabSettings(tmp_path, tmp_path, True))
    report.answer("1.1", "how long", 1.5, "ms", "times", 0.25)
    report.remark("On a tiny net.")
    return report.write()


def test_every_answer_has_a_row(tmp_path: Path) -> None:
    document = json.loads(_document(tmp_path).read_text())
    text = page([document, document | {"title": "Another", "quick": False}])
    assert text.count("| 1.1 | how long | 1.5 ± 0.25 ms | times |") == 2
    assert text.index("## A tiny lab") < text.index("## Another")
    assert document["date"] in text and document["environment"]["cpu"] in text
    assert "quick settings" in text and "full settings" in text and "On a tiny net." in text


def test_a_busy_machine_is_said_to_be_one(tmp_path: Path) -> None:
    document = json.loads(_document(tmp_path).read_text())
    document["environment"]["threads"] = 2
    assert "Load 9.5 on 2 CPUs when it began" in page([document | {"load": 9.5}])
    assert "Load" not in page([document | {"load": 1.5}])


def test_the_page_is_written(tmp_path: Path) -> None:
    main([str(_document(tmp_path)), "--out", str(tmp_path / "labs.md")])
    assert (tmp_path / "labs.md").read_text().startswith("# The course labs, answered")
