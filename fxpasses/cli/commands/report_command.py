"""``fxpasses report A B C``: runs and machines beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import shared as options
from ..terminal import STDOUT, Terminal, open_terminal

if TYPE_CHECKING:
    from fxpasses.reports.compare.runs import Run


def report_command(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...", help="Folders of quantize or prune, or report.json files.", show_default=False
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write a page, FILE.html.", show_default=False)
    ] = None,
    markdown: Annotated[
        str | None, typer.Option("--markdown", metavar="FILE", help="Write Markdown; - is stdout.", show_default=False)
    ] = None,
    csv: Annotated[
        str | None, typer.Option("--csv", metavar="FILE", help="Write CSV; - is stdout.", show_default=False)
    ] = None,
    json: options.Json = None,
) -> None:
    """Compare runs, or one run on several machines: accuracy, time, size, and what the runs differ in."""
    with open_terminal(json) as terminal:
        from fxpasses.reports.compare.runs import cautions, read_runs, what_differs

        found = read_runs(runs)
        terminal.document = {
            "runs": {run.name: run.report for run in found},
            "cautions": cautions(found),
            "differences": dict(what_differs(found)),
        }
        _write(found, out, markdown, csv)
        if STDOUT not in (markdown, csv):
            _print(found, terminal)


def _write(found: list[Run], out: Path | None, markdown: str | None, csv: str | None) -> None:
    from fxpasses.export.files import write_text_atomic
    from fxpasses.reports.compare.page import write_comparison
    from fxpasses.reports.compare.text import csv_text
    from fxpasses.reports.compare.text import markdown as markdown_text

    if out is not None:
        write_comparison(found, out)
    for path, make in ((markdown, markdown_text), (csv, csv_text)):
        if path == STDOUT:
            print(make(found), end="")
        elif path is not None:
            write_text_atomic(Path(path), make(found))


def _print(found: list[Run], terminal: Terminal) -> None:
    from fxpasses.reports.compare.runs import cautions
    from fxpasses.reports.compare.table import variant_table

    terminal.results.print(variant_table(found))
    for caution in cautions(found):
        terminal.results.print(f"note    {caution}", markup=False)
