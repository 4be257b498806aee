"""The report of a run: printed as in the terminal, a mapping of report.json, and the page beside it."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fxpasses.cli.folders.artifacts import REPORT_HTML, REPORT_JSON
from fxpasses.cli.folders.folder import open_folder
from fxpasses.errors import InputError

WIDTH = 140
"""Characters of a line in ``repr``: the widest table of a report fits."""


class RunReport(Mapping[str, Any]):
    """report.json of a folder; ``print(report)`` shows the tables that the command printed.

    Attributes:
        folder: where it lies.
        page: ``report.html``, the same with plots.
    """

    def __init__(self, folder: Path, content: Mapping[str, Any]) -> None:
        self.folder = folder
        self.page = folder / REPORT_HTML
        self._content = dict(content)

    def __getitem__(self, key: str) -> Any:
        return self._content[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)

    def __repr__(self) -> str:
        """The tables of the report as text."""
        from rich.console import Console

        from fxpasses.reports.console import print_report

        text = io.StringIO()
        print_report(self._content, Console(file=text, width=WIDTH, color_system=None))
        return text.getvalue().rstrip()

    def to_json(self) -> dict[str, Any]:
        """All of report.json."""
        return dict(self._content)


def report(path: str | Path) -> RunReport:
    """Read the report of a folder that ``quantize``, ``prune`` or ``quickstart`` wrote.

    Args:
        path: the folder, or the report.json in it.

    Raises:
        InputError: there is none, it is no report, or ``path`` is no path.
    """
    if not isinstance(path, (str, Path)):
        raise InputError(
            f"a {type(path).__name__}",
            why="a report is read from the folder of a run",
            fix="name the folder that a command wrote: fx.report('resnet18')",
        )
    path = Path(path)
    folder = path.parent if path.name == REPORT_JSON else path
    return RunReport(folder, open_folder(folder))
