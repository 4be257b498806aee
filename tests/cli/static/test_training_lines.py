"""The lines of a run of training: one for each row of its curve, one now and then in a long epoch."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from fxpasses.cli.static import training_lines
from fxpasses.cli.static.training_lines import TrainingLines, left_text
from fxpasses.cli.terminal import Step, Terminal
from fxpasses.training import CurvePoint, TrainingProgress


def told(curve: list[CurvePoint]) -> tuple[TrainingLines, io.StringIO]:
    written = io.StringIO()
    run: Any = SimpleNamespace(curve=curve)
    terminal = Terminal(Console(file=io.StringIO()), Console(file=written, width=120))
    return TrainingLines(run, terminal, Step("train")), written


def progress(step: int, seconds_left: float = 90.0) -> TrainingProgress:
    return TrainingProgress(step, 10, step / 5, "open", 0.5, 80.0, seconds_left)


def test_a_line_for_each_row_of_the_curve() -> None:
    curve: list[CurvePoint] = []
    lines, written = told(curve)
    lines(progress(1))
    assert written.getvalue() == ""
    curve.append(CurvePoint(1.0, "open", 1.23456, 65.432))
    lines(progress(5))
    lines(progress(6))
    curve.append(CurvePoint(2.0, "frozen", 0.5, 99.96))
    lines(progress(10, 0.0))
    assert written.getvalue().splitlines() == [
        "train   epoch 1.00, open: loss 1.235, 65.4 % right, 2 min left",
        "train   epoch 2.00, frozen: loss 0.500, 100.0 % right, 0 s left",
    ]


def test_a_resumed_run_does_not_tell_the_past() -> None:
    lines, written = told([CurvePoint(1.0, "open", 1.0, 50.0)])
    lines(progress(6))
    assert written.getvalue() == ""


def test_a_long_epoch_has_lines_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(training_lines, "time", SimpleNamespace(monotonic=lambda: now[0]))
    lines, written = told([])
    lines._told_at = 0.0
    for step in range(1, 5):
        now[0] = 25.0 * step
        lines(progress(step))
    assert written.getvalue() == "train   epoch 0.60, open: loss 0.500, 80.0 % right in this step, 2 min left\n"


def test_time_left() -> None:
    assert [left_text(seconds) for seconds in (7.4, 60, 3599, 3600, 7530)] == [
        "7 s left", "1 min left", "60 min left", "1 h 00 min left", "2 h 05 min left",
    ]  # fmt: skip
