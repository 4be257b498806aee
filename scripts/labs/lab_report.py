"""Parts that all labs share: sections run in order, answers by number, tables, plots, and the files of the results.

A lab is a module with a title and ``SECTIONS``, a tuple of functions that take the lab's own state. The state holds a
:class:`LabReport`, which the sections fill; :func:`run_lab` runs them and writes

    report.json     answers, tables, the machine, the date      read by answers_page.py
    report.md       the same to read
    NAME.png        the plots
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from rich.console import Console
from rich.table import Table

from fxpasses.machine.environment import environment

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROOT = Path(__file__).resolve().parent.parent.parent
Number = int | float
Value = str | int | float | None
Row = Sequence[Value]
"""A row of a table: texts, numbers, and empty cells."""
PLOT_INCHES = (7.0, 4.2)


@dataclass(frozen=True)
class LabSettings:
    """Settings of a lab's run.

    Attributes:
        data: folder of data sets.
        out: folder of the results.
        quick: smaller nets and fewer images, in minutes.
        weights: weights of the lab's large net from ``long_training.py``; without them the lab trains a small one.
    """

    data: Path
    out: Path
    quick: bool
    weights: Path | None = None


@dataclass(frozen=True)
class Answer:
    """The answer to one question; ``where`` names the table or plot that shows more, ``spread`` is one deviation."""

    number: str
    question: str
    value: Number
    unit: str
    where: str
    spread: float | None = None

    @property
    def text(self) -> str:
        """Value as text, with its unit."""
        number = f"{self.value:,}" if isinstance(self.value, int) else f"{self.value:.4g}"
        spread = "" if self.spread is None else f" ± {self.spread:.2g}"
        return f"{number}{spread} {self.unit}".rstrip()


@dataclass(frozen=True)
class Rows:
    """A table."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]


@dataclass
class LabReport:
    """Results of a lab: filled by its sections, written at the end.

    ``load`` is the number of processes that wanted a CPU when the lab began: if it exceeds the number of CPUs, times
    are not reliable.
    """

    name: str
    title: str
    settings: LabSettings
    answers: list[Answer] = field(default_factory=list)
    tables: dict[str, Rows] = field(default_factory=dict)
    plots: dict[str, Path] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    load: float = field(default_factory=lambda: os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0)

    def answer(
        self,
        number: str,
        question: str,
        value: Number,
        unit: str = "",
        where: str = "",
        spread: float | None = None,
    ) -> None:
        """Add the answer to a question of the course.

        Raises:
            ValueError: the number was given before, or the value is not finite.
        """
        if number in {answer.number for answer in self.answers}:
            raise ValueError(f"question {number} has an answer already")
        if not math.isfinite(value):
            raise ValueError(f"the answer to question {number} is {value}, and no number")
        self.answers.append(Answer(number, question, value, unit, where, spread))

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Add a table; every row has a cell for each column."""
        wrong = [row for row in rows if len(row) != len(columns)]
        if wrong:
            raise ValueError(f"table {name}: a row of {len(wrong[0])} cells for {len(columns)} columns")
        self.tables[name] = Rows(tuple(columns), tuple(tuple(row) for row in rows))

    def plot(self, name: str, draw: Callable[[Axes], object]) -> None:
        """Draw into a new figure and write it as ``NAME.png``."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=PLOT_INCHES, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure.add_subplot())
        self.settings.out.mkdir(parents=True, exist_ok=True)
        path = self.settings.out / f"{name}.png"
        figure.savefig(path, dpi=100)
        self.plots[name] = path

    def remark(self, sentence: str) -> None:
        """Add a sentence that readers of the numbers need."""
        self.remarks.append(sentence)

    def document(self) -> dict[str, Any]:
        """Content of report.json."""
        return {
            "lab": self.name,
            "title": self.title,
            "date": datetime.now(timezone.utc).date().isoformat(),
            "quick": self.settings.quick,
            "environment": environment(),
            "load": round(self.load, 1),
            "seconds": self.seconds,
            "answers": [asdict(answer) | {"text": answer.text} for answer in self.answers],
            "tables": {name: asdict(table) for name, table in self.tables.items()},
            "plots": {name: path.name for name, path in self.plots.items()},
            "remarks": self.remarks,
        }

    def write(self) -> Path:
        """Write report.json and report.md; return the path of the first."""
        self.settings.out.mkdir(parents=True, exist_ok=True)
        path = self.settings.out / "report.json"
        path.write_text(json.dumps(self.document(), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        (self.settings.out / "report.md").write_text(self.markdown(), encoding="utf-8")
        return path

    def markdown(self) -> str:
        """Content of report.md."""
        lines = [f"# {self.title}", "", *answer_lines(self.answers)]
        for name, table in self.tables.items():
            lines += ["", f"## {name}", "", *markdown_table(table.columns, table.rows)]
        for name, path in self.plots.items():
            lines += ["", f"![{name}]({path.name})"]
        if self.remarks:
            lines += ["", *(f"- {sentence}" for sentence in self.remarks)]
        return "\n".join(lines) + "\n"


def answer_lines(answers: Sequence[Answer]) -> list[str]:
    """The table of answers as lines of Markdown."""
    rows = [(a.number, a.question, a.text, a.where) for a in answers]
    return markdown_table(("", "question", "answer", "where"), rows)


def markdown_table(columns: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """A table as lines of Markdown."""
    return [
        "| " + " | ".join(columns) + " |",
        "|" + "---|" * len(columns),
        *("| " + " | ".join(cell_text(cell) for cell in row) + " |" for row in rows),
    ]


def cell_text(cell: Value) -> str:
    """A cell as text: four digits of a fraction, nothing for None."""
    if cell is None:
        return ""
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


class LabState(Protocol):
    """State that the sections of a lab share."""

    @property
    def report(self) -> LabReport: ...


State = TypeVar("State", bound=LabState)


@dataclass(frozen=True)
class Lab(Generic[State]):
    """A lab: its name (that of its module), its title, the function that makes its state, and its sections in order."""

    name: str
    title: str
    begin: Callable[[LabReport], State]
    sections: tuple[Callable[[State], None], ...]


def run_lab(lab: Lab[State], settings: LabSettings, console: Console | None = None) -> LabReport:
    """Run every section, print the answers and write the files."""
    console = console or Console(width=120)
    report = LabReport(lab.name, lab.title, settings)
    state = lab.begin(report)
    for section in lab.sections:
        console.print(f"[bold]{title_of(section)}[/bold]")
        run_section(section, state)
        console.print(f"  {report.seconds[section.__name__]:.1f} s")
    report.write()
    console.print(answers_table(report))
    console.print(f"{settings.out / 'report.json'}: {sum(report.seconds.values()):.0f} s")
    return report


def run_section(section: Callable[[State], None], state: State) -> None:
    """Run one section and record its duration."""
    started = time.perf_counter()
    section(state)
    state.report.seconds[section.__name__] = time.perf_counter() - started


def title_of(section: Callable[..., object]) -> str:
    """The first line of a section's docstring, without its full stop."""
    return (section.__doc__ or section.__name__).strip().partition("\n")[0].rstrip(".")


def answers_table(report: LabReport) -> Table:
    """Table of the answers for the terminal."""
    table = Table("", "question", "answer", "where", title=report.title)
    for answer in report.answers:
        table.add_row(answer.number, answer.question, answer.text, answer.where)
    return table


def settings_of(name: str, arguments: Sequence[str] | None = None) -> LabSettings:
    """Parse the command line of a lab."""
    parser = argparse.ArgumentParser(description=f"Lab {name}: every question of the course with its number.")
    default = Path(os.environ.get("FXPASSES_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=default, help=f"folder of data sets (default {default})")
    parser.add_argument("--out", type=Path, default=Path("labs") / name, help="folder of the results")
    parser.add_argument("--quick", action="store_true", help="smaller nets and fewer images: two minutes")
    parser.add_argument("--weights", type=Path, help="of the lab's large net, as long_training.py writes them")
    chosen = parser.parse_args(arguments)
    return LabSettings(chosen.data, chosen.out, chosen.quick, chosen.weights)
