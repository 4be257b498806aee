"""The matrix as Markdown, CSV, console table and page."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser

from matrix_documents import matrix_document, matrix_row
from rich.console import Console

from fxpasses.reports.matrix.cells import cells, columns, places
from fxpasses.reports.matrix.console import print_matrix
from fxpasses.reports.matrix.page import matrix_page
from fxpasses.reports.matrix.plot import ratio_plot
from fxpasses.reports.matrix.texts import FIELDS, matrix_csv, matrix_markdown


def test_cells() -> None:
    assert cells(matrix_row("dense torch int8")) == (
        "dense torch int8", "1.25", "1.50 ± 0.100", "300 kB", "2.00", "1.90–2.10", "faster",
    )  # fmt: skip
    assert cells(matrix_row("dense onnxruntime fp32", "baseline", None))[4:] == ("", "–", "baseline")


def test_energy_has_a_column_where_it_was_read() -> None:
    assert "energy" not in columns(matrix_document())
    metered = matrix_document(rows=[matrix_row("dense torch int8", millijoules=12.3)])
    assert columns(metered)[-1] == "energy"
    assert cells(metered["rows"][0], columns(metered))[-1] == "12.3 mJ"
    assert "12.3 mJ" in matrix_markdown(metered) and "12.3 mJ" in matrix_page(metered)


def test_rows_are_grouped_by_setting_and_device() -> None:
    found = [(place, len(rows)) for place, rows in places(matrix_document())]
    assert found == [
        ("batch 1, 1 thread · A CPU", 3), ("batch 1, 2 threads · A CPU", 2), ("batch 1, 1 thread · Cortex-A76", 1),
    ]  # fmt: skip


def test_markdown_is_a_table_for_each_and_marks_are_escaped() -> None:
    text = matrix_markdown(matrix_document())
    assert text.startswith("# Benchmark matrix of net\\_of\\|mine\n")
    tables = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    assert [len(table.splitlines()) for table in tables] == [5, 4, 3]
    assert all(len(set(line.count("|") for line in table.splitlines())) == 1 for table in tables)  # noqa: C401
    assert "**noisy machine, batch 1, 2 threads: the ratios scatter by 20 %**" in text
    assert "dense torch bf16 is left out" in text and "In turns." in text


def test_csv_has_every_number() -> None:
    rows = list(csv.DictReader(io.StringIO(matrix_csv(matrix_document()))))
    assert list(rows[0]) == list(FIELDS) and len(rows) == 6
    assert (rows[1]["ratio"], rows[1]["interval_low"], rows[0]["ratio"]) == ("2.0", "1.9", "")
    formula = matrix_document(rows=[matrix_row("dense torch int8", device="=1+1")])
    assert next(csv.DictReader(io.StringIO(matrix_csv(formula))))["device"] == "'=1+1"


def test_console() -> None:
    console = Console(file=io.StringIO(), width=120)
    print_matrix(matrix_document(), console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    for said in ("batch 1, 2 threads · A CPU", "0.062", "slower", "WARNING noisy machine", "note    dense torch bf16"):
        assert said in text


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        if tag not in ("meta", "path", "use", "rect", "circle", "line", "polyline"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()


def test_the_page_stands_alone() -> None:
    text = matrix_page(matrix_document(model="<b>net</b>"))
    tags = _Tags()
    tags.feed(text)
    assert tags.open == [] and tags.seen.count("table") == 3
    assert tags.seen.count("svg") == 3 and "script" not in tags.seen
    assert "<b>net" not in text and "&lt;b&gt;net" in text
    assert 'class="chip bad">slower' in text and 'class="chip good">faster' in text
    assert "noisy machine, batch 1, 2 threads" in text


def test_a_plot_of_nothing() -> None:
    assert ratio_plot([matrix_row("dense onnxruntime fp32", "baseline", None)]) is None
