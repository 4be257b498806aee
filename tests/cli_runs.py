"""Runs of the command line in tests: in this process if possible, else in a separate one."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import typer
from made_once import made_once

from fxpasses.cli import app

OLD = b"what was there"
LONG_ENOUGH_S = 120.0
SMALL = ("digits_cnn", "--data", "digits", "--calib", "16", "--eval", "40", "--no-bench", "--threads", "1")
"""Arguments of a quantization that takes seconds, without weights; ``--out`` is missing."""


@dataclass(frozen=True)
class Run:
    """Output and exit code of a run of the command line."""

    code: int
    out: str
    err: str


@functools.cache
def _commands() -> Callable[..., Any]:
    """Group of commands that typer makes from their signatures at every call; cached, because this takes longer than
    most calls in tests.
    """
    return typer.main.get_command(app.app)


def fxpasses(*arguments: str | Path) -> Run:
    """Run the command line in this process."""
    commands, out, err = _commands(), io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as leaving:  # noqa: SIM117
        with patch.object(app, "app", commands):
            app.run([str(argument) for argument in arguments])
    code = leaving.value.code
    assert code is None or isinstance(code, int)
    return Run(code or 0, out.getvalue(), err.getvalue())


def command(*arguments: str | Path) -> list[str]:
    """Command line that runs in a separate process."""
    return [sys.executable, "-m", "fxpasses", *map(str, arguments)]


def fxpasses_process(*arguments: str | Path, **settings: str) -> Run:
    """Run the command line in a separate process; ``settings`` are added to its environment."""
    done = subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        check=False,
        timeout=LONG_ENOUGH_S,
        env={**os.environ, **settings},
    )
    return Run(done.returncode, done.stdout, done.stderr)


@functools.cache
def quickstart() -> tuple[Path, Run]:
    """A folder that ``fxpasses quickstart`` made in a separate process, once for all tests; copy it to change it."""

    def make(parent: Path) -> None:
        parent.mkdir()
        done = fxpasses_process("quickstart", "--out", parent / "qs")
        (parent / "said.json").write_text(json.dumps([done.code, done.out, done.err]), encoding="utf-8")

    parent = made_once("quickstart", make)
    return parent / "qs", Run(*json.loads((parent / "said.json").read_text(encoding="utf-8")))


def copied(folder: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    shutil.copytree(folder, tmp_path / folder.name)
    return tmp_path / folder.name


def mounted(folder: Path, *options: str) -> bool:
    """Whether a tmpfs could be mounted (root only)."""
    if not (sys.platform == "linux" and shutil.which("mount") and os.geteuid() == 0):
        return False
    return subprocess.run(["mount", *options, str(folder)], capture_output=True, check=False).returncode == 0


def is_refused(done: Run, said: str, out: Path | None = None) -> None:
    """Exit code 2, one message with its remedy and no traceback, and nothing written to ``out``."""
    assert done.code == 2, done.err
    assert said in done.err
    assert done.err.count("error: ") == 1
    assert "\n  fix: " in done.err
    assert "Traceback" not in done.err
    assert done.out == ""
    if out is not None:
        assert tree(out) == {"report.json": OLD}


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder and its bytes, temporaries included."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
