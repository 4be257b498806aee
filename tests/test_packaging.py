"""The package list in pyproject.toml is written by hand and compared with the folders; names and
sizes are tested, too.
"""

from __future__ import annotations

import ast
import importlib.metadata
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fxpasses

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
LINKS = {"fxpasses/export": "../export", "fxpasses/models": "../models"}
SOURCE_FOLDERS = ("fxpasses", "export", "models", "scripts", "tests")

LONGEST_FILE = 300
LONGEST_FUNCTION = 40
"""Largest number of lines of a function, with signature, without docstring."""
MOST_PARAMETERS = 8
LONG_FILES = {
    "fxpasses/graph/operator_table.py": "the table of operators, an entry each; halves of a table are harder to read"
}
"""Files that may be longer, with longer functions, each with the reason."""
_OPTIONS = "the options of a command are the parameters of its function"
_COMMANDS = "fxpasses/cli/commands"
_CUDA = "export/engines/cuda/kernels"
_KERNELS = "a GPU kernel's operands are its parameters, and its code is compiled as one"
LARGE_FUNCTIONS = {
    ("tests/hostile/documents.py", "report"): "one document with every part it can have",
    (f"{_COMMANDS}/bench_command.py", "bench_command"): _OPTIONS,
    (f"{_COMMANDS}/bundle_command.py", "bundle_command"): _OPTIONS,
    (f"{_CUDA}/conv_kernels.py", "store_results"): _KERNELS,
    (f"{_CUDA}/conv_kernels.py", "conv_depthwise"): _KERNELS,
    (f"{_CUDA}/conv_kernels.py", "conv_gemm"): _KERNELS,
    (f"{_CUDA}/volume_kernels.py", "conv_volume"): _KERNELS,
    (f"{_CUDA}/matrix_kernels.py", "multiply_matrices"): _KERNELS,
    (f"{_CUDA}/byte_kernels.py", "add_bytes"): _KERNELS,
    (f"{_CUDA}/byte_kernels.py", "multiply_bytes"): _KERNELS,
    (f"{_CUDA}/byte_kernels.py", "pool"): _KERNELS,
    (f"{_CUDA}/byte_kernels.py", "rescale_rows"): _KERNELS,
    ("export/onnx_writer/translations/recurrent.py", "gru_dynamic"): "the operator's own arguments",
    ("fxpasses/precision/recurrent_ops.py", "_gru_dynamic"): "the operator's own arguments",
    ("fxpasses/pruning/channels/budget.py", "choose_within"): "what choose_channels is told, and the budget",
    ("fxpasses/training/runs/whole_run.py", "train_quantized"): "all of training in one call, settings by keyword",
    ("fxpasses/calls/pruned_model.py", "prune"): "all of pruning in one call, settings by keyword",
}
"""Functions that may be longer or take more parameters, each with the reason."""
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc"}


def pyproject() -> dict[str, Any]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        settings: dict[str, Any] = tomllib.load(file)
    return settings


def sources() -> list[Path]:
    """Every source file once: the links inside fxpasses are left out."""
    found = [path for folder in SOURCE_FOLDERS for path in (ROOT / folder).rglob("*.py")]
    return sorted(path for path in found if not any(path.is_relative_to(ROOT / link) for link in LINKS))


def functions(path: Path) -> Iterator[tuple[str, int, int]]:
    """Name, length in lines and number of parameters of each function; docstring and decorators are not counted."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            told = (first.end_lineno or 0) - first.lineno + 1 if ast.get_docstring(node) is not None else 0
            given = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            parameters = len([name for name in given if name not in ("self", "cls")])
            yield node.name, (node.end_lineno or 0) - node.lineno + 1 - told, parameters


def test_package_list_matches_the_folders() -> None:
    listed = pyproject()["tool"]["setuptools"]["packages"]
    inits = [path.parent.relative_to(ROOT) for path in sources() if path.name == "__init__.py"]
    inits = [folder for folder in inits if folder.parts[0] not in {"scripts", "tests"}]  # these are not installed
    names = {".".join(folder.parts) for folder in inits}
    expected = {name if name.startswith("fxpasses") else f"fxpasses.{name}" for name in names}
    assert set(listed) == expected
    assert listed == sorted(listed)


def test_package_dir_is_what_the_links_say() -> None:
    folders = pyproject()["tool"]["setuptools"]["package-dir"]
    assert {name.replace(".", "/"): f"../{folder}" for name, folder in folders.items()} == LINKS
    assert {link: str((ROOT / link).readlink()) for link in LINKS} == LINKS


@pytest.mark.parametrize("name", ["export", "models"])
def test_not_importable_as_top_level_packages(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import {name}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert f"fxpasses.{name}" in done.stderr


def test_every_dependency_has_its_line_in_the_readme() -> None:
    project = pyproject()["project"]
    required = [requirement.split(">=")[0].split(";")[0].strip() for requirement in project["dependencies"]]
    readme = (ROOT / "README.md").read_text()
    assert [name for name in required if f"| {name} " not in readme and f"| {name}," not in readme] == []


def test_version_is_the_installed_one() -> None:
    assert fxpasses.__version__ == importlib.metadata.version("fxpasses") == pyproject()["project"]["version"]
    assert f"## {fxpasses.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def unlike_the_rules(path: Path) -> Iterator[str]:
    """Violations of the rules on sizes and names in a source file."""
    name = str(path.relative_to(ROOT))
    if path.stem in NAMES_THAT_SAY_NOTHING:
        yield f"{name}: its name says nothing"
    if name in LONG_FILES:
        return
    if (lines := len(path.read_text().splitlines())) > LONGEST_FILE:
        yield f"{name}: {lines} lines"
    for function, lines, parameters in functions(path):
        if (name, function) in LARGE_FUNCTIONS:
            continue
        if lines > LONGEST_FUNCTION:
            yield f"{name}: {function} has {lines} lines"
        if parameters > MOST_PARAMETERS and not name.startswith("tests/"):
            yield f"{name}: {function} has {parameters} parameters"


def test_files_say_what_they_are_and_stay_short() -> None:
    assert [why for path in sources() for why in unlike_the_rules(path)] == []


def test_a_long_function_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (path := tmp_path / "utils.py").write_text("def f(" + ", ".join("abcdefghi") + "):\n" + "    x = 1\n" * 41)
    assert list(unlike_the_rules(path)) == [
        "utils.py: its name says nothing",
        "utils.py: f has 42 lines",
        "utils.py: f has 9 parameters",
    ]


def test_long_files_are_still_long() -> None:
    too_long = [name for name in LONG_FILES if len((ROOT / name).read_text().splitlines()) <= LONGEST_FILE]
    assert too_long == [], "no longer long: take them off the list"
