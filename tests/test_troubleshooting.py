"""Messages that docs/troubleshooting.md quotes are still in the sources."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest
from repository import ROOT

PAGE = ROOT / "docs" / "troubleshooting.md"


def quotes() -> list[str]:
    headings = re.findall(r"^### (.*)$", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    return [quote for heading in headings for quote in re.findall(r"`([^`]+)`", heading)]


@cache
def texts() -> str:
    """Every piece of text in the sources, as the parser joins it, a line each."""
    found: list[str] = []
    for folder in ("fxpasses", "export", "models"):
        for path in (ROOT / folder).rglob("*.py"):
            tree = ast.parse(path.read_text("utf-8"))
            found += [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return "\n".join(found)


def missing(quote: str) -> list[str]:
    """The fixed parts of a quoted message that the sources do not have."""
    if quote.startswith("module 'fxpasses'"):
        return [] if " has no attribute " in texts() else [quote]
    return [part.strip() for part in quote.split("…") if part.strip() and part.strip() not in texts()]


@pytest.mark.parametrize("quote", quotes())
def test_the_message_is_in_the_sources(quote: str) -> None:
    assert missing(quote) == []


def test_a_message_that_is_gone_is_found() -> None:
    assert missing("no such words … anywhere at all") == ["no such words", "anywhere at all"]
    assert len(quotes()) > 12
