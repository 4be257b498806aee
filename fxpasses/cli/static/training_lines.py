"""Display of training while it runs: a bar on a terminal, and lines with loss, accuracy and time left."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from fxpasses.training.runs.training_run import TrainingProgress, TrainingRun

from ..terminal import Step, Terminal

QUIET_SECONDS = 60.0
"""Seconds between two lines within a long epoch."""
_MINUTE, _HOUR = 60.0, 3600.0


@dataclass
class TrainingLines:
    """The callback of a run: a line for each row of its learning curve, of means over an epoch or a part of one."""

    run: TrainingRun
    terminal: Terminal
    step: Step
    _told: int = 0
    _told_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._told = len(self.run.curve)  # a resumed run has told these before

    def __call__(self, now: TrainingProgress) -> None:
        left = left_text(now.seconds_left)
        self.step.at(f"epoch {now.epoch:.2f}, {_found(now.loss, now.accuracy)}, {left}", now.step, now.steps)
        rows = self.run.curve[self._told :]
        for row in rows:
            self._tell(f"epoch {row.epoch:.2f}, {row.phase}: {_found(row.loss, row.accuracy)}, {left}")
        self._told += len(rows)
        if not rows and time.monotonic() - self._told_at > QUIET_SECONDS:
            self._tell(f"epoch {now.epoch:.2f}, {now.phase}: {_found(now.loss, now.accuracy)} in this step, {left}")

    def _tell(self, line: str) -> None:
        self._told_at = time.monotonic()
        self.terminal.notes.print(f"train   {line}", markup=False, soft_wrap=True)


def _found(loss: float, accuracy: float | None) -> str:
    return f"loss {loss:.3g}" if accuracy is None else f"loss {loss:.3f}, {accuracy:.1f} % right"


def left_text(seconds: float) -> str:
    """Remaining time as text: ``2 h 05 min left``, ``12 min left``, ``40 s left``."""
    if seconds >= _HOUR:
        return f"{int(seconds // _HOUR)} h {int(seconds % _HOUR // _MINUTE):02d} min left"
    return f"{seconds / _MINUTE:.0f} min left" if seconds >= _MINUTE else f"{seconds:.0f} s left"
