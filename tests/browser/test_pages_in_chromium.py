"""report.html of each kind of run, and the page that compares them, in a real browser: wide, and on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import PHONE, WIDE, chromium, complaints, resize
from cli_runs import SMALL, fxpasses

pytestmark = pytest.mark.slow

_TIMED = tuple(argument for argument in SMALL if argument != "--no-bench")
_RUNS = {
    "quantize": ("quantize", *_TIMED),
    "search": ("quantize", *SMALL, "--max-drop", "50"),
    "qat": ("quantize", *SMALL, "--qat", "1"),
    "prune": ("prune", *SMALL, "--budget", "macs=0.5", "--quantize"),
}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Paths of the pages, by kind of run."""
    folder = tmp_path_factory.mktemp("runs")
    found: dict[str, Path] = {}
    for name, arguments in _RUNS.items():
        done = fxpasses(*arguments, "--out", folder / name)
        assert done.code == 0, done.err
        found[name] = folder / name / "report.html"
    compared = folder / "compared.html"
    runs = [page.parent for page in found.values()]
    assert fxpasses("report", *runs, "--out", compared).code == 0
    return found | {"compare": compared}


_HEADINGS = {
    "quantize": [
        "Accuracy, latency, size",
        "Size and accuracy",
        "Latency",
        "Parity of torch and onnxruntime",
        "Operators",
    ],
    "search": ["Size and accuracy", "Parity of torch and onnxruntime", "Operators", "What onnxruntime fuses"],
    "qat": ["Size and accuracy", "Training", "Operators"],
    "prune": ["Size and accuracy", "Pruning"],
    "compare": ["In plain words", "All variants", "What differs"],
}
"""Headings that each page must have, in this order; it may have others between them."""


@pytest.mark.parametrize("size", [WIDE, PHONE])
@pytest.mark.parametrize("name", _HEADINGS)
def test_a_page_is_drawn_and_fits(browser: Any, pages: dict[str, Path], name: str, size: tuple[int, int]) -> None:
    resize(browser, size)
    browser.get(pages[name].as_uri())
    headings = browser.execute_script("return [...document.querySelectorAll('h2')].map(h => h.innerText)")
    assert [heading for heading in headings if heading in _HEADINGS[name]] == _HEADINGS[name]
    assert browser.execute_script("return document.documentElement.scrollWidth") == size[0]
    drawn = "return [...document.querySelectorAll('section > *, .tile, svg')].map(e => e.getClientRects().length)"
    assert all(browser.execute_script(drawn))
    if name != "compare":
        assert headings[:3] == ["You gain", "You lose", "Do next"]
    assert complaints(browser) == []


def column(browser: Any, place: int) -> list[str]:
    rows = "[...document.querySelector('table').tBodies[0].rows]"
    found: list[str] = browser.execute_script(f"return {rows}.map(r => r.cells[{place}].innerText.trim())")
    return found


def test_a_click_on_a_head_sorts_and_another_turns_it_round(browser: Any, pages: dict[str, Path]) -> None:
    resize(browser, WIDE)
    browser.get(pages["quantize"].as_uri())
    titles = [head.text.split() for head in browser.find_elements("css selector", "table thead th")]
    place = next(i for i, title in enumerate(titles) if title[:1] == ["size"])
    before = column(browser, 0)
    heads = "document.querySelectorAll('table thead th')"
    button = browser.execute_script(f"return {heads}[arguments[0]].firstChild", place)
    button.click()
    rising = [float(text.split()[0]) for text in column(browser, place)]
    assert rising == sorted(rising)
    assert column(browser, 0) != before and sorted(column(browser, 0)) == sorted(before)
    button.click()
    assert [float(text.split()[0]) for text in column(browser, place)] == rising[::-1]


def test_reasons_stay_below_their_operators(browser: Any, pages: dict[str, Path]) -> None:
    resize(browser, WIDE)
    browser.get(pages["quantize"].as_uri())
    browser.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true })")
    pairs = """
    return [...document.querySelectorAll('tr.why')].map(
      r => r.previousElementSibling.cells[0].innerText + '|' + r.innerText.trim())
    """
    before = browser.execute_script(pairs)
    browser.execute_script("document.querySelectorAll('th button').forEach(b => b.click())")
    assert sorted(browser.execute_script(pairs)) == sorted(before)


def test_the_curve_of_training_is_drawn(browser: Any, pages: dict[str, Path]) -> None:
    browser.get(pages["qat"].as_uri())
    section = "[...document.querySelectorAll('section')].find(s => s.querySelector('h2').innerText === 'Training')"
    rows = browser.execute_script(f"return {section}.querySelectorAll('tbody tr').length")
    drawn = browser.execute_script(f"return {section}.querySelectorAll('svg').length")
    assert rows >= 1 and drawn == (rows > 1)


def test_print_has_no_scroll_boxes_and_a_white_page(browser: Any, pages: dict[str, Path]) -> None:
    resize(browser, WIDE)
    browser.get(pages["prune"].as_uri())
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        style = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
        assert browser.execute_script(style, ".scroll", "overflowX") == "visible"
        page = "return getComputedStyle(document.documentElement).getPropertyValue('--page').trim()"
        assert browser.execute_script(page) == "#ffffff"
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
