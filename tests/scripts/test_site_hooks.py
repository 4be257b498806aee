"""Pages of the site that are made: links lead to pages, roles become code, and every public name has its entry."""

from __future__ import annotations

from pathlib import Path

import pytest
import site_hooks

import fxpasses
from fxpasses import binary, export, pruning, training


def test_links_of_the_readme_start_in_docs() -> None:
    text = "[a](docs/repairs.md#what) [b](SECURITY.md) [c](models/x.py) [d](https://x.org) [e](#here) ![f](docs/f.png)"
    moved = "[a](repairs.md#what) [b](security_policy.md) [c](../models/x.py) [d](https://x.org) [e](#here) ![f](f.png)"
    assert site_hooks.moved(text) == moved


def test_links_to_sources_become_text() -> None:
    text = "[a](../models/x.py) [b](../README.md) [c](repairs.md)"
    assert site_hooks.linked(text, Path("docs/tasks.md")) == "a [b](index.md) [c](repairs.md)"


def test_roles_become_code() -> None:
    html = "see :func:<code>fxpasses.capture</code> and :mod:<code>.recipe</code>"
    assert site_hooks.on_page_content(html) == "see <code>fxpasses.capture</code> and <code>recipe</code>"


@pytest.mark.parametrize(
    ("package", "module"),
    [("fxpasses", fxpasses), ("export", export), ("training", training), ("pruning", pruning), ("binary", binary)],
)
def test_every_public_name_has_its_entry(package: str, module: object) -> None:
    names = site_hooks.public_names(package)
    assert names
    assert [name for name in names if not hasattr(module, name)] == []
    text = site_hooks.reference(package)
    assert all(f".{name}\n" in text for name in names)


def test_the_lazy_packages_are_complete() -> None:
    for package, module in (("fxpasses", fxpasses), ("export", export)):
        public = {name for name in module._HOMES if not name.startswith("_")}
        assert set(site_hooks.public_names(package)) == public


def test_types_of_results_exist() -> None:
    for name in site_hooks.RESULTS:
        module, _, attribute = name.rpartition(".")
        assert hasattr(__import__(module, fromlist=[attribute]), attribute)
