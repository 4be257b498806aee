"""Folders are small enough to be read as a list, and neither files nor folders import each other in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest
from repository import ROOT
from test_imports import imports_among, modules

MOST_FILES = 16
FOLDERS = sorted({path.parent for path in modules().values()} | {ROOT / "scripts"})


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_a_folder_is_read_at_a_glance(folder: Path) -> None:
    assert len(list(folder.glob("*.py"))) <= MOST_FILES


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_a_folder_says_what_is_in_it(folder: Path) -> None:
    if folder.name != "scripts":
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))


def used(module: str, path: Path) -> Iterator[str]:
    """Modules that a file imports when it runs, at once or later."""
    known, tree = modules(), ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = [ast.Pass()]
    for _, name, _ in imports_among(ast.walk(tree), module, is_package=path.name == "__init__.py"):
        while name not in known and "." in name:
            name = name.rpartition(".")[0]
        if name in known and name != module:
            yield name


def circles(arrows: Mapping[str, set[str]]) -> list[str]:
    """Names in circles: names without arrows to or from remaining names are removed until none is left to remove."""
    left = dict(arrows)
    while True:
        read = set[str]().union(*left.values())
        ends = [name for name, targets in left.items() if not targets & left.keys() or name not in read]
        if not ends:
            return sorted(left)
        for name in ends:
            del left[name]


@cache
def all_used() -> dict[str, set[str]]:
    """The modules that each module imports."""
    return {module: set(used(module, path)) for module, path in modules().items()}


def test_no_files_import_each_other_in_a_circle() -> None:
    assert circles(all_used()) == []


TOPS = {"fxpasses", "fxpasses.export", "fxpasses.models", "fxpasses.quantization", "fxpasses.pruning"}
TOPS |= {"fxpasses.detection", "fxpasses.sensitivity", "fxpasses.cli", "fxpasses.training", "fxpasses.bundles"}
"""Folders with rooms in them: a file beside the rooms counts as a room."""


def room_of(module: str, path: Path) -> str:
    folder = module if path.name == "__init__.py" else module.rpartition(".")[0]
    return module if folder in TOPS else folder


def test_no_rooms_import_each_other_in_a_circle() -> None:
    known = modules()
    rooms = {module: room_of(module, path) for module, path in known.items()}
    arrows: dict[str, set[str]] = {room: set() for room in rooms.values()}
    for module in known:
        arrows[rooms[module]] |= {rooms[name] for name in all_used()[module]} - {rooms[module]}
    assert circles(arrows) == []


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == ["b", "c"]
    assert circles({"a": {"b"}, "b": set()}) == []


def test_the_map_of_folders_is_up_to_date() -> None:
    told = (ROOT / "docs" / "architecture.md").read_text().splitlines()
    lines = [line for line in told if line.startswith("| `")]
    expected = []
    for folder in sorted(FOLDERS):
        if folder.name != "scripts":
            first = (ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or "").splitlines()[0]
            expected.append(f"| `{folder.relative_to(ROOT)}/` | {first} |")
    assert lines == expected
