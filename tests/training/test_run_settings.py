"""Settings of a run are checked, and converted to steps."""

from __future__ import annotations

import math
from typing import Any

import pytest

from fxpasses.errors import InputError
from fxpasses.training.runs.run_settings import RunSettings, Schedule


@pytest.mark.parametrize(
    "wrong",
    [
        *({name: value} for name in ("epochs", "lr", "temperature", "frozen_lr") for value in (0, -1, math.nan)),
        *({name: value} for name in ("weight_decay", "dampening") for value in (-1, math.inf)),
        *({name: value} for name in ("momentum", "ema") for value in (-0.1, 1)),
        *({name: value} for name in ("distillation", "hold_at", "frozen_share") for value in (-0.1, 1.1)),
    ],
    ids=str,
)
def test_numbers_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(wrong))}="):
        RunSettings(**wrong)


def test_phases_in_steps() -> None:
    schedule = Schedule.of(RunSettings(epochs=2.5, frozen_share=0.2, hold_at=0.5), 40)
    assert (schedule.total, schedule.opened, schedule.held) == (100, 80, 40)


def test_each_phase_has_a_cosine() -> None:
    schedule = Schedule.of(RunSettings(epochs=1, frozen_share=0.5), 20)
    assert schedule.share_left(0) == schedule.share_left(10) == 1.0
    assert schedule.share_left(5) == pytest.approx(0.5) and schedule.share_left(9) < 0.03


def test_a_run_has_a_step() -> None:
    assert Schedule.of(RunSettings(epochs=0.001), 10).total == 1
