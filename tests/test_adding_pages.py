"""The guide for an engine works as it is printed, and the guides name files that exist."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from repository import ROOT

PAGES = ("adding_a_repair.md", "adding_an_engine.md", "adding_an_operator.md")


def output_of(page: str) -> str:
    """Last line printed by the page's code, run from top to bottom in a process of its own."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL))
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


@pytest.mark.slow
def test_the_engine_computes_the_integers_of_the_reference() -> None:
    printed = output_of("adding_an_engine.md")
    assert printed.count("NumpyLinear") == 3
    assert printed.endswith("True")


@pytest.mark.parametrize("page", PAGES)
def test_what_the_page_names_exists(page: str) -> None:
    named = set(
        re.findall(r"`((?:fxpasses|tests|models|scripts|export|docs)/[\w/.]+)`", (ROOT / "docs" / page).read_text())
    )
    assert {path for path in named if not (ROOT / path).exists()} == set()
