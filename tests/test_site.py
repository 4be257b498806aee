"""The documentation as a site: every page has its place, links and anchors lead somewhere, and it builds strictly."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import site_hooks
from repository import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
SETTINGS = (ROOT / "mkdocs.yml").read_text("utf-8")


def without_code(text: str) -> str:
    return re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and mkdocs make them."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ +(.*?) *$", without_code(path.read_text("utf-8")), flags=re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", words.lower()).strip().replace(" ", "-")
        found.add(slug if slug not in found else f"{slug}-1")
    return found


def broken_links(document: Path) -> list[str]:
    broken = []
    for link in re.findall(r"\]\((?!https?://|mailto:)([^)\s]+)\)", without_code(document.read_text("utf-8"))):
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(link)
    return broken


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_anchors_lead_somewhere(document: Path) -> None:
    assert broken_links(document) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# Some `code` here\n[a](#some-code-here) [b](#nowhere) [c](absent.md) [d](page.md#some-code-here)\n"
    )
    assert broken_links(page) == ["#nowhere", "absent.md"]


def test_every_page_has_its_place() -> None:
    listed = re.findall(r": ([\w/]+\.md)$", SETTINGS, flags=re.MULTILINE)
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} | set(site_hooks.pages())
    assert sorted(listed) == sorted(pages)


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_needs_no_network(tmp_path: Path) -> None:
    if importlib.util.find_spec("mkdocs") is None or importlib.util.find_spec("mkdocstrings") is None:
        pytest.skip('not installed: pip install -e ".[site]"')
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = [path.read_text("utf-8") for path in tmp_path.rglob("*.html")]
    assert len(pages) > 25
    loaded = re.compile(
        r"<(?:script|img|iframe)[^>]*\ssrc=\"(?:https?:)?//|<link[^>]*stylesheet[^>]*href=\"(?:https?:)?//"
    )
    assert [found[0] for page in pages for found in [loaded.search(page)] if found] == []
    assert missing_pictures(tmp_path) == []


def missing_pictures(site: Path) -> list[str]:
    """Pictures of all pages that are no file of the site."""
    return [
        f"{page.relative_to(site)}: {name}"
        for page in site.rglob("*.html")
        for name in re.findall(r"<img[^>]*\ssrc=\"([^\":]+)\"", page.read_text("utf-8"))
        if not (page.parent / name).is_file()
    ]


def test_a_missing_picture_is_found(tmp_path: Path) -> None:
    (tmp_path / "here.png").touch()
    (tmp_path / "page.html").write_text('<img alt="a" src="here.png" /> <img alt="b" src="absent.png" />')
    assert missing_pictures(tmp_path) == ["page.html: absent.png"]
