"""Where commands write: results to stdout, progress to stderr (only to a terminal), JSON where it is asked for."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

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
        """``count`` more are done."""
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0], count)
            self._refresh()

    def at(self, what: str, done: int, total: int) -> None:
        """``done`` of ``total`` are, and ``what`` is being done now."""
        if self._bar is not None:
            description = f"{self.name}: {what}" if what else self.name
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
        results: what was asked for; stdout, or stderr where JSON takes stdout.
        notes: progress and remarks; stderr.
        document: what ``--json`` writes at the end.
        durations: seconds by step.
    """

    results: Console
    notes: Console
    document: object = None
    durations: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str, total: int | None = None, *, timing: bool = False) -> Iterator[Step]:
        """Show a step while it runs, and that it is done; remember how long it took.

        ``timing`` draws only between measurements, never from a thread of its own beside them.
        """
        started = time.monotonic()
        if self.notes.is_terminal:
            with _bar(self.notes, timing=timing) as bar:
                bar.add_task(name, total=total)
                yield Step(name, bar)
        else:
            yield Step(name)
        seconds = time.monotonic() - started
        self.durations[name] = self.durations.get(name, 0.0) + seconds
        if self.notes.is_terminal:
            self.notes.print(f"[green]✓[/] {name}[dim]{_after(seconds)}[/]")

    def remark(self, text: str) -> None:
        """One line about something left out, on stderr."""
        from rich.text import Text

        self.notes.print(Text(f"note: {text}"), soft_wrap=True)


@contextmanager
def open_terminal(json: str | None = None) -> Iterator[Terminal]:
    """The terminal of a command; at the end of the block its ``document`` goes to ``json``: a file, or ``-``.

    A file that cannot be written is an error at the beginning, not after minutes of work.
    """
    from rich.console import Console

    terminal = Terminal(_console(Console, stderr=json == STDOUT), _console(Console, stderr=True))
    if json is None or json == STDOUT:
        yield terminal
        if json == STDOUT:
            print(_as_json(terminal.document))
        return
    from fxpasses.export.files import atomic_write

    with atomic_write(Path(json)) as temporary:
        temporary.touch()
        yield terminal
        temporary.write_text(_as_json(terminal.document) + "\n", encoding="utf-8")


def _as_json(document: object) -> str:
    import json

    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)


def _console(make: Callable[..., Console], *, stderr: bool) -> Console:
    console = make(stderr=stderr, highlight=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = WIDTH_WITHOUT_TERMINAL
    return console


def _bar(console: Console, *, timing: bool) -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
    )
    return Progress(*columns, console=console, transient=True, auto_refresh=not timing)


def _after(seconds: float) -> str:
    return f" {seconds:.1f} s" if seconds >= LONG_ENOUGH_TO_TELL_S else ""
