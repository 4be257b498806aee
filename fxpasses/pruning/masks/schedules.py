"""Schedules of the ratio for pruning in several steps, with fine-tuning in between."""

from __future__ import annotations

from typing import Literal

from ...errors import InputError
from .selection import check_ratio

Schedule = Literal["one-shot", "iterative", "cubic"]
SCHEDULES: tuple[Schedule, ...] = ("one-shot", "iterative", "cubic")


def schedule_ratios(schedule: Schedule, ratio: float, steps: int = 1, *, initial: float = 0.0) -> tuple[float, ...]:
    """The ratio after each of ``steps`` prunings; the last is ``ratio``.

    ``"one-shot"``: all at the first step. ``"iterative"``: each step prunes the same share of the weights left by the
    step before (Han et al. 2015). ``"cubic"``: ``s_t = s_f + (s_i - s_f) (1 - t/n)^3``, much at first and little at the
    end (Zhu and Gupta 2017).

    Raises:
        InputError: an unknown schedule, a ratio outside [0, 1), ``initial`` above ``ratio``, no step.
    """
    check_ratio(ratio)
    check_ratio(initial, "initial ratio")
    if schedule not in SCHEDULES:
        raise InputError(
            f"schedule {schedule!r}", why="there is no such schedule", fix=f"use one of {', '.join(SCHEDULES)}"
        )
    if initial > ratio or steps < 1:
        raise InputError(
            f"{steps} steps from {initial} to {ratio}", why="a schedule rises, in 1 step at least", fix="turn it round"
        )
    if schedule == "one-shot":
        return (ratio,) * steps
    shares = [t / steps for t in range(1, steps)]
    if schedule == "iterative":
        kept = (1 - ratio) / (1 - initial)
        return (*(1 - (1 - initial) * kept**share for share in shares), ratio)
    return (*(ratio + (initial - ratio) * (1 - share) ** 3 for share in shares), ratio)
