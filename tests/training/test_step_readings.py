"""Results of steps are read at once on the CPU, and together from another device."""

from __future__ import annotations

import math

import pytest
import torch

from fxpasses.training.runs import step_readings
from fxpasses.training.runs.step_readings import StepReading, StepReadings


def keep(readings: StepReadings, step: int, loss: float = 0.5) -> None:
    readings.add(step, torch.tensor(loss), torch.tensor(3), 4)


def test_on_the_cpu_every_step_is_read() -> None:
    readings = StepReadings()
    assert readings.take() == [] and math.isnan(readings.last.loss)
    for step in (1, 2):
        keep(readings, step)
        assert readings.are_due and readings.take() == [readings.last] == [StepReading(step, 0.5, 3.0, 4)]
    assert readings.last.accuracy == 75.0 and not readings.are_due


def test_on_another_device_many_are_read_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_readings, "is_remote", lambda x: True)
    monkeypatch.setattr(step_readings, "AT_ONCE", 3)
    readings, due = StepReadings(), []
    for step in range(1, 6):
        keep(readings, step, loss=float(step))
        due.append(readings.are_due)
        if readings.are_due:
            readings.take()
    assert due == [True, False, False, True, False] and readings.last.step == 4
    assert [(r.step, r.loss) for r in readings.take()] == [(5, 5.0)]
