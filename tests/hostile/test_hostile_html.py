"""Names, labels, paths and layers that are HTML: escaped on every page, and pages forbid the browser to run or load."""

from __future__ import annotations

import base64
import copy
import hashlib
import itertools
from html.parser import HTMLParser
from typing import Any

import documents
import pytest
from mutations import paths_of
from sensitivity_cases import made_prune_document, made_quant_document

from fxpasses.reports.html.elements import SCRIPT, SORTING, Markup
from fxpasses.reports.html.page import render_html
from fxpasses.sensitivity.pages.pages import page
from fxpasses.sensitivity.pages.prune_page import prune_page
from fxpasses.sensitivity.pages.quant_page import quant_page

INJECTIONS = (
    "<script>run()</script>",
    "</title><script>run()</script>",
    "</style><script>run()</script>",
    "\"><img src=x onerror='run()'>",
    "' onmouseover='run()",
    "<svg/onload=run()>",
    "</svg><iframe src=javascript:run()>",
    "</text><script>run()</script>",
    "<a href='javascript:run()'>x</a>",
    "<!--<script>run()",
)
PLACES = 40


class _Page(HTMLParser):
    """Parser that collects everything a page would run or load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.policies: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "meta" and given.get("http-equiv") == "Content-Security-Policy":
            self.policies.append(given["content"] or "")
        if tag in ("script", "iframe", "object", "embed", "img", "a", "link", "base", "form"):
            self.found.append(tag)
        self.found += [name for name, value in attrs if name.startswith("on") or "javascript:" in (value or "")]


def _is_safe(text: str) -> None:
    assert text.count(SCRIPT) <= 1
    found = _Page(text.replace(SCRIPT, ""))  # the one that the policy lets run, by its hash
    assert found.found == []
    digest = base64.b64encode(hashlib.sha256(SORTING.encode()).digest()).decode()
    assert found.policies == [
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    ]
    assert "<head><meta charset" in text  # the policy is there before anything it is for


def _texts() -> list[tuple[Any, ...]]:
    """Places of texts in a report."""
    report = documents.report()

    def value(path: tuple[Any, ...]) -> object:
        found: Any = report
        for step in path:
            found = found[step]
        return found

    return [path for path in paths_of(report) if isinstance(value(path), str) and path[-1] != "runtime"]


def test_there_are_forty_places() -> None:
    assert len(_texts()) >= PLACES


def _injected(first: int) -> str:
    """A page in which every text is an injection that starts with the given text."""
    report, injections = documents.report(), itertools.cycle(INJECTIONS[first:] + INJECTIONS[:first])
    for path, injection in zip(_texts(), injections, strict=False):
        parent: Any = report
        for step in path[:-1]:
            parent = parent[step]
        parent[path[-1]] = injection
    for part, key in ((report, "durations"), (report["pruning"], "channels"), (report["audit"], "int8_ops")):
        part[key] = {next(injections): next(iter(copy.deepcopy(part[key]).values()))}
    return render_html(report)


def test_every_text_of_a_report() -> None:
    _is_safe(_injected(0))


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1, len(INJECTIONS)))
def test_every_text_with_every_injection(first: int) -> None:
    _is_safe(_injected(first))


def test_the_test_sees_a_script() -> None:
    with pytest.raises(AssertionError):
        _is_safe(page(documents.report(), "x", Markup(INJECTIONS[0])))


@pytest.mark.parametrize("injection", INJECTIONS)
def test_pages_of_sensitivity(injection: str) -> None:
    report = documents.report()
    document: dict[str, Any] = dict.fromkeys(("model", "data", "target", "command"), injection)
    document["environment"] = {**report["environment"], "cpu": injection, "versions": {injection: injection}}
    _is_safe(page(document, "sensitivity", Markup("")))


NAMES = ("node", "module", "operator", "output", "part")
"""Keys of a sensitivity's layers, tensors and outputs that hold the model's own names."""


def _with_names(found: dict[str, Any], first: int) -> dict[str, Any]:
    """The document with an injection in the place of every name."""
    changed, injections = copy.deepcopy(found), itertools.cycle(INJECTIONS[first:] + INJECTIONS[:first])
    for entry in (*changed["layers"], *changed.get("tensors", ()), *changed.get("outputs", ())):
        entry |= {key: next(injections) for key in NAMES if isinstance(entry.get(key), str)}
    return changed


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, len(INJECTIONS), 3))
def test_layers_of_sensitivity(first: int) -> None:
    for made, drawn in ((made_quant_document, quant_page), (made_prune_document, prune_page)):
        text = drawn(_with_names(made(), first))
        _is_safe(text)
        assert "run()" in text
