"""The comparison as Markdown and CSV has every variant, no markup from names, and no formulas for spreadsheets."""

from __future__ import annotations

import csv
import io

from stub_runners import sample_report

from fxpasses.reports.compare.rows import VALUE_COLUMNS
from fxpasses.reports.compare.runs import Run
from fxpasses.reports.compare.text import csv_text, markdown


def test_csv_has_a_row_for_every_time_that_was_measured() -> None:
    runs = [Run("a", sample_report()), Run("b", sample_report(target="arm"))]
    rows = list(csv.DictReader(io.StringIO(csv_text(runs))))
    assert list(rows[0]) == list(VALUE_COLUMNS)
    timed = sum(max(1, len(v["latency"])) for run in runs for v in run.report["variants"])
    assert len(rows) == timed
    assert {row["target"] for row in rows} == {"x86", "arm"}
    assert all(float(row["p50_ms"]) > 0 for row in rows if row["p50_ms"])


def test_a_cell_is_no_formula() -> None:
    rows = list(csv.DictReader(io.StringIO(csv_text([Run("=cmd()", sample_report(model="@x"))]))))
    assert rows[0]["run"] == "'=cmd()" and rows[0]["model"] == "'@x"


def test_markdown_has_tables_and_cautions() -> None:
    text = markdown([Run("a|b", sample_report()), Run("c", sample_report(data="other", target="arm"))])
    lines = text.splitlines()
    assert lines[0].startswith("| run | variant | size | top-1 |")
    assert "| a\\|b | torch fp32 |" in text
    assert "- The runs were measured on different data: their accuracies do not compare." in lines
    assert "| target | x86 | arm |" in lines
