"""A command ends with exit code 1, after all its output, if a promise is broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from fxpasses.cli.terminal import open_terminal


def test_what_is_not_ok_ends_with_code_1(tmp_path: Path) -> None:
    with pytest.raises(typer.Exit) as ended, open_terminal(str(tmp_path / "out.json")) as terminal:
        terminal.document, terminal.ok = {"found": 3}, False
    assert ended.value.exit_code == 1
    assert json.loads((tmp_path / "out.json").read_text()) == {"found": 3}


def test_without_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit), open_terminal("-") as terminal:
        terminal.document, terminal.ok = [1], False
    assert json.loads(capsys.readouterr().out) == [1]
    with open_terminal():
        pass
