"""The public names of training are listed and found, and none is loaded before it is asked for."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest
from repository import ROOT

from fxpasses import training


def test_every_name_that_a_type_checker_sees_is_found_and_no_other() -> None:
    tree = ast.parse((ROOT / "fxpasses" / "training" / "__init__.py").read_text())
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.name: f"fxpasses.training.{node.module}"
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert {name: f"fxpasses.training.{home}" for name, home in training._HOMES.items()} == seen
    for name, home in seen.items():
        assert getattr(training, name).__module__ == home
    assert set(seen) <= set(dir(training))


def test_a_name_that_is_none() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'train'"):
        training.train  # noqa: B018


def test_nothing_is_loaded_before_it_is_asked_for() -> None:
    code = (
        "import sys, fxpasses.training\n"
        "assert 'torch' not in sys.modules\n"
        "fxpasses.training.RunSettings\n"
        "assert 'fxpasses.training.frozen.freeze' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
