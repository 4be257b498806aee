"""``fxpasses report``: a table in the terminal, a page, Markdown, CSV and JSON."""

from __future__ import annotations

import json
from pathlib import Path

from cli_runs import fxpasses
from stub_runners import readable_report


def run(folder: Path, **changes: object) -> Path:
    folder.mkdir()
    (folder / "report.json").write_text(json.dumps(readable_report(**changes)))
    return folder


def test_everything_at_once(tmp_path: Path) -> None:
    a, b = run(tmp_path / "first"), run(tmp_path / "second", target="arm")
    files = {name: tmp_path / name for name in ("c.html", "c.md", "c.csv", "c.json")}
    done = fxpasses(
        *("report", a, b, "--out", files["c.html"], "--markdown", files["c.md"]),
        *("--csv", files["c.csv"], "--json", files["c.json"]),
    )
    assert done.code == 0, done.err
    assert "first" in done.out and "second" in done.out
    assert files["c.html"].read_text().startswith("<!DOCTYPE html>")
    assert files["c.md"].read_text().startswith("| run |")
    assert files["c.csv"].read_text().startswith("run,machine,")
    assert json.loads(files["c.json"].read_text())["differences"]["target"] == ["x86", "arm"]


def test_markdown_alone_on_stdout(tmp_path: Path) -> None:
    done = fxpasses("report", run(tmp_path / "a"), "--markdown", "-")
    assert done.code == 0 and done.out.startswith("| run |")


def test_no_report(tmp_path: Path) -> None:
    done = fxpasses("report", tmp_path)
    assert done.code == 2 and "make it again" in done.err
