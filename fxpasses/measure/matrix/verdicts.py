"""Verdicts on intervals: faster, slower, or no difference shown.

A ratio is the baseline's time over that of a row: 2 is twice as fast. Differences below ``MARGIN`` do not count. The
layout of memory and code can change the speed of a program by this much, for all rounds of one process (T. Mytkowicz
et al., Producing Wrong Data Without Doing Anything Obviously Wrong!, ASPLOS 2009), so an interval over the rounds of
that process does not show it. If the baseline differed from itself by more, that difference is the margin.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .intervals import Interval

FASTER, SLOWER, NO_DIFFERENCE, BASELINE = "faster", "slower", "no difference shown", "baseline"
VERDICTS = (FASTER, SLOWER, NO_DIFFERENCE, BASELINE)
MARGIN = 0.03
UNPAIRED_MARGIN = 0.10
"""Margin for runs that were not timed in turns: clock rates and temperature change by as much between two runs."""


def verdict(interval: Interval, margin: float) -> str:
    """The verdict on an interval of the ratio; it shows no difference if it reaches into the margin around 1."""
    if interval.low is None or interval.high is None:
        return NO_DIFFERENCE
    if interval.low > 1 + margin:
        return FASTER
    return SLOWER if interval.high < 1 / (1 + margin) else NO_DIFFERENCE


@dataclass(frozen=True)
class Change:
    """A row whose verdict changed; in a ``flip``, the new verdict is the opposite of the old one."""

    row: str
    before: str
    after: str

    @property
    def is_flip(self) -> bool:
        return {self.before, self.after} == {FASTER, SLOWER}

    def __str__(self) -> str:
        return f"{self.row}: {self.before} before, {self.after} now"


def changes(before: Iterable[Mapping[str, Any]], after: Iterable[Mapping[str, Any]]) -> list[Change]:
    """The rows of two matrices, as JSON has them, whose verdicts differ; rows that one of them lacks are left out."""
    known = {row_name(row): row["verdict"] for row in before}
    pairs = ((row_name(row), row["verdict"]) for row in after)
    return [Change(name, known[name], now) for name, now in pairs if known.get(name, now) != now]


def row_name(row: Mapping[str, Any]) -> str:
    """Unique name of a row: ``dense torch int8, batch 1, threads 2, AMD EPYC``."""
    return f"{row['name']}, batch {row['batch']}, threads {row['threads']}, {row['device']}"
