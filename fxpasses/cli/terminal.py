"""Output of commands: results to stdout, progress to stderr (only to a terminal), JSON if it is asked for."""

from __future__ import annotations

import importlib
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from . import interruption

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

WIDTH_WITHOUT_TERMINAL = 120
REFRESHES_PER_S = 5
LONG_ENOUGH_TO_TELL_S = 1.0
STDOUT = "-"


@dataclass
class Step:
    """One step of a command while it runs; its methods are the progress callbacks of the packages."""

    name: str
    _bar: Progress | None = None
    _shown_at: float = 0.0

    def advance(self, count: int) -> None:
        """Report that ``count`` more are done."""
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0], count)
            self._refresh()

    def at(self, what: str, done: int, total: int) -> None:
        """Report that ``done`` of ``total`` are done, and that ``what`` is being done now."""
        if self._bar is not None:
            description = what if what.startswith(self.name) else f"{self.name}: {what}"
            self._bar.update(self._bar.task_ids[0], description=description, completed=done, total=total)
            self._refresh()

    def _refresh(self) -> None:
        assert self._bar is not None
        if time.monotonic() - self._shown_at > 1 / REFRESHES_PER_S:
            self._bar.refresh()
            self._shown_at = time.monotonic()


@dataclass
class Terminal:
    """The consoles of one command.

    Attributes:
        results: console of the results: stdout, or stderr if JSON takes stdout.
        notes: console of progress and remarks: stderr.
        document: the value that ``--json`` writes at the end.
        ok: whether the promise holds; if not, the command ends with exit code 1.
        durations: seconds by step.
        warnings: warnings of the packages below, for the report.
    """

    results: Console
    notes: Console
    document: object = None
    ok: bool = True
    durations: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @contextmanager
    def step(self, name: str, total: int | None = None, *, timing: bool = False) -> Iterator[Step]:
        """Show a step while it runs and when it is done, and record its duration.

        With ``timing`` the step is drawn only between measurements, never by a thread beside them.
        """
        interruption.check()
        started = time.monotonic()
        if self.notes.is_terminal:
            with _bar(self.notes, counted=total is not None, timing=timing) as bar:
                bar.add_task(name, total=total)
                yield Step(name, bar)
        else:
            yield Step(name)
        interruption.check()
        seconds = time.monotonic() - started
        self.durations[name] = self.durations.get(name, 0.0) + seconds
        if self.notes.is_terminal:
            self.notes.print(f"[green]✓[/] {name}[dim]{_after(seconds)}[/]")

    def load(self, *packages: str) -> None:
        """Import slow packages in a visible step, in which Ctrl-C does no harm."""
        with self.step(f"load {packages[0]}"):
            for package in packages:
                with interruption.held():
                    importlib.import_module(package)

    @contextmanager
    def notes_of_warnings(self) -> Iterator[None]:
        """Turn warnings of fxpasses into remarks; drop those of other packages, because a user cannot act on them."""

        def note(message: Warning | str, *_: object, **__: object) -> None:
            self.warnings.append(str(message))
            self.remark(str(message))

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.filterwarnings("default", module=r"fxpasses\.")
            warnings.showwarning = note
            yield

    def remark(self, text: str) -> None:
        """Print one line about something left out, on stderr."""
        from rich.text import Text

        self.notes.print(Text(f"note: {text}"), soft_wrap=True)


@contextmanager
def open_terminal(json: str | None = None) -> Iterator[Terminal]:
    """Open the terminal of a command; at the end of the block its ``document`` goes to ``json``: a file, or ``-``.

    A file that cannot be written is reported at the beginning, not after minutes of work.

    Raises:
        typer.Exit: with code 1, after everything else, if the terminal is not ``ok``.
    """
    from rich.console import Console

    terminal = Terminal(_console(Console, stderr=json == STDOUT), _console(Console, stderr=True))
    if json is None or json == STDOUT:
        with terminal.notes_of_warnings():
            yield terminal
        if json == STDOUT:
            print(_as_json(terminal.document))
    else:
        from fxpasses.export.files import atomic_write

        with atomic_write(Path(json)) as temporary, terminal.notes_of_warnings():
            temporary.touch()
            yield terminal
            temporary.write_text(_as_json(terminal.document) + "\n", encoding="utf-8")
    if not terminal.ok:
        raise typer.Exit(1)


def _as_json(document: object) -> str:
    import json

    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)


def _console(make: Callable[..., Console], *, stderr: bool) -> Console:
    console = make(stderr=stderr, highlight=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = WIDTH_WITHOUT_TERMINAL
    return console


def _bar(console: Console, *, counted: bool, timing: bool) -> Progress:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns: list[ProgressColumn] = [SpinnerColumn(), TextColumn("{task.description}", markup=False)]
    if counted:
        columns += [BarColumn(bar_width=30), MofNCompleteColumn(), TimeRemainingColumn(compact=True)]
    else:
        columns += [TimeElapsedColumn()]
    return Progress(*columns, console=console, transient=True, auto_refresh=not timing)


def _after(seconds: float) -> str:
    return f" {seconds:.1f} s" if seconds >= LONG_ENOUGH_TO_TELL_S else ""
