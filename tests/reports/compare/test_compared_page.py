"""The page that compares runs stands alone, is well formed, and has every variant of every run."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

from stub_runners import sample_report

from fxpasses.reports.compare.page import comparison_page, write_comparison
from fxpasses.reports.compare.runs import Run
from fxpasses.reports.html.elements import SCRIPT


class Texts(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_every_variant_of_every_run_and_what_differs(tmp_path: Path) -> None:
    runs = [Run("first", sample_report()), Run("second", sample_report(target="arm"))]
    write_comparison(runs, tmp_path / "c.html")
    page = (tmp_path / "c.html").read_text(encoding="utf-8")
    found = Texts(page)
    assert found.texts.count("first") >= 5 and found.texts.count("second") >= 5
    assert {"2 runs compared", "In plain words", "All variants", "What differs", "arm"} <= set(found.texts)
    assert page.count("<svg") == 1 and "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")


def test_runs_on_other_data_share_no_plot() -> None:
    page = comparison_page([Run("a", sample_report()), Run("b", sample_report(data="other"))])
    assert "<svg" not in page and "Read with care" in page


def test_names_are_no_markup() -> None:
    page = comparison_page([Run("<script>x", sample_report(model="<b>"))])
    assert "<script" not in page.replace(SCRIPT, "") and "<b>" not in page
    assert Texts(page.replace(SCRIPT, "")).tags.count("script") == 0
