"""Altered reports, recipes, labels and journals: accepted, or refused with the name of the file; no other errors."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import documents
import pytest
from mutations import altered, damaged, deep
from rich.console import Console

from fxpasses.agreement.promise import is_exact, why_broken
from fxpasses.cli.folders.folder import data_of, input_of
from fxpasses.cli.pruning.recipe import read_recipe as read_prune_recipe
from fxpasses.errors import FxPassesError, InputError
from fxpasses.models.data.image_folder import image_folder_splits
from fxpasses.reports.console import print_report
from fxpasses.reports.document import read_report, why_not_a_report
from fxpasses.reports.html.page import render_html
from fxpasses.sensitivity.search.journal import Journal
from fxpasses.sensitivity.search.recipe_file import read_recipe

QUICK, ALL = 25, 250
DRAWN = 25
"""One in this many accepted reports becomes a page, because plots take long."""


def _use_report(path: Path, draw: bool) -> None:
    report = read_report(path)
    print_report(report, Console(file=io.StringIO()))
    if draw:
        render_html(report)
    if report["parity"] is not None:
        why_broken(report["parity"], exact=is_exact(report))
    input_of(report, path.parent)
    data_of(report, path.parent)
    assert why_not_a_report(report) is None


def _use_recipe(path: Path, _draw: bool) -> None:
    read_recipe(path)


def _use_prune_recipe(path: Path, _draw: bool) -> None:
    read_prune_recipe(path)


def _use_labels(path: Path, _draw: bool) -> None:
    for part in ("train", "val"):
        for name in ("cat", "dog"):
            (path.parent / part / name).mkdir(parents=True, exist_ok=True)
            (path.parent / part / name / "0.png").touch()
    image_folder_splits(path.parent, (3, 8, 8), "images=x", path)


def _use_journal(path: Path, _draw: bool) -> None:
    Journal(path, {"model": "net"})


USES: dict[str, tuple[Callable[[], Any], Callable[[Path, bool], None]]] = {
    "report.json": (documents.report, _use_report),
    "recipe.toml": (documents.quant_recipe, _use_recipe),
    "recipe.json": (documents.prune_recipe, _use_prune_recipe),
    "labels.json": (documents.labels, _use_labels),
    "a.journal.jsonl": (documents.journal, _use_journal),
}


def _toml(value: object) -> str:
    """A value as TOML, if TOML can hold it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(below)}" for key, below in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return "nan" if value != value else str(value).lower() if isinstance(value, float) else json.dumps(value)


def _written(name: str, document: Any) -> bytes:
    if name.endswith(".jsonl") and isinstance(document, list):
        return b"".join(documents.as_json(line) + b"\n" for line in document)
    if name.endswith(".toml") and isinstance(document, dict):
        return "".join(f"{json.dumps(key)} = {_toml(value)}\n" for key, value in document.items()).encode()
    return documents.as_json(document)


def _refusal(use: Callable[[Path, bool], None], path: Path, what: str, draw: bool) -> str | None:
    """Error with which the reader refused the file; None if it was accepted."""
    try:
        use(path, draw)
    except FxPassesError as error:
        return str(error)
    except Exception as error:
        raise AssertionError(f"{what}: {type(error).__name__}") from error
    return None


def _alter(name: str, count: int, tmp_path: Path) -> None:
    """Use ``count`` altered files; FxPassesErrors must name the file."""
    make, use = USES[name]
    path, chance = tmp_path / name, random.Random(name)
    good = make()
    refused = 0
    for index in range(count):
        what, changed = altered(good, chance)
        content = _written(name, changed)
        if index % 5 == 4:
            what, content = "bytes", damaged(_written(name, good), chance)
        path.write_bytes(content)
        refusal = _refusal(use, path, f"{name}, {what}", index % DRAWN == 0)
        assert refusal is None or str(path) in refusal, what
        refused += refusal is not None
    assert refused > count / 5
    assert refused < count


@pytest.mark.parametrize("name", USES)
def test_whole_documents_are_taken(name: str, tmp_path: Path) -> None:
    make, use = USES[name]
    (tmp_path / name).write_bytes(_written(name, make()))
    use(tmp_path / name, True)


@pytest.mark.parametrize("name", USES)
def test_some_altered_documents(name: str, tmp_path: Path) -> None:
    _alter(name, QUICK, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", USES)
def test_a_thousand_altered_documents(name: str, tmp_path: Path) -> None:
    _alter(name, ALL, tmp_path)


@pytest.mark.parametrize("name", ["report.json", "recipe.toml", "recipe.json", "labels.json"])
@pytest.mark.parametrize("content", [b"{", b"\0", b"\xff\xfe", deep().encode(), b"a = " + deep().encode(), b"9" * 5000])
def test_what_is_no_document(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=name):
        USES[name][1](tmp_path / name, False)


def test_the_key_is_named(tmp_path: Path) -> None:
    report = documents.report()
    report["variants"][1]["size_bytes"] = "large"
    (tmp_path / "report.json").write_bytes(documents.as_json(report))
    with pytest.raises(InputError, match=r"(?s)report\.json: variants\[1\]\.size_bytes = 'large'.*valid integer"):
        read_report(tmp_path / "report.json")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"key": ["score", 1, {}, {}, []], "value": {"images": 1}}', "top1"),
        ('{"key": ["latency"], "value": {"ms": NaN, "speedup": 1}}', "value.ms"),
        ('{"key": 3, "value": 4}', "value = 4"),
    ],
)
def test_lines_of_a_journal(line: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "j").write_text(f'{{"about": {{}}}}\n{line}\n')
    with pytest.raises(InputError, match=f"(?s){said}.*delete the journal"):
        Journal(tmp_path / "j", {})
