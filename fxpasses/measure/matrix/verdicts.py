"""Verdicts on intervals: faster, slower, or no difference shown.

A ratio is the baseline's time over that of a row: 2 is twice as fast. A difference counts from ``MARGIN`` on: by as
much the layout of memory and of code moves the speed of one program, in one process, for all of its rounds (T.
Mytkowicz et al., Producing Wrong Data Without Doing Anything Obviously Wrong!, ASPLOS 2009), and no interval over the
rounds of that process sees it. Where the baseline differed from itself by more, that is the margin.
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
    """From an interval of the ratio; one that reaches between ``1 / (1 + margin)`` and ``1 + margin`` shows nothing."""
    if interval.low is None or interval.high is None:
        return NO_DIFFERENCE
    if interval.low > 1 + margin:
        return FASTER
    return SLOWER if interval.high < 1 / (1 + margin) else NO_DIFFERENCE


@dataclass(frozen=True)
class Change:
    """A row whose verdict is another than before; a ``flip`` is one that says the opposite."""

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
    """``dense torch int8, batch 1, threads 2, AMD EPYC``: what tells a row from all others."""
    return f"{row['name']}, batch {row['batch']}, threads {row['threads']}, {row['device']}"
