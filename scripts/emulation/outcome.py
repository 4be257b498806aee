"""Outcome of one int8 file on one CPU in one runtime: the difference from exact arithmetic, or why it did not run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from emulation.jobs import ILLEGAL_INSTRUCTION

TORCH, ONNXRUNTIME = "torch", "onnxruntime"
LEVELS = 255
SMALLEST_DIFFERENCE = 0.5
"""Smallest difference that counts, in LSB. Float results may differ in their last bits; integers differ by at least
one.
"""


@dataclass(frozen=True)
class Difference:
    """Difference between outputs and exact arithmetic: the largest in LSB, and the number of values that differ."""

    max_lsb: float
    differing: int
    values: int


@dataclass(frozen=True)
class Instructions:
    """Instructions executed in one inference, and the number of those that sum int8 products."""

    all: int
    dot: int
    matrix: int


@dataclass(frozen=True)
class Outcome:
    """Outcome of one file.

    Attributes:
        options: session options of onnxruntime.
        why_not: reason why it did not run, or was not tried.
        skipped: it could not be tried on this machine.
        why_uncounted: reason why there are no counts of instructions, on ARM.
    """

    file: str
    net: str
    target: str
    cpu: str
    runtime: str
    version: str
    options: dict[str, str] = field(default_factory=dict)
    difference: Difference | None = None
    instructions: Instructions | None = None
    why_not: str | None = None
    skipped: bool = False
    why_uncounted: str | None = None

    @property
    def is_good(self) -> bool:
        """Whether it gave exact integers, or could not be expected to run.

        PyTorch's ARM builds use instructions that older CPUs lack: that is a fact about PyTorch, not a failure.
        """
        if self.difference is not None:
            return self.difference.max_lsb < SMALLEST_DIFFERENCE
        return self.skipped or (self.runtime == TORCH and self.why_not == ILLEGAL_INSTRUCTION)

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"is_good": self.is_good}


def difference_of(found: Sequence[Any], exact: Sequence[Any], lsbs: Sequence[float | None]) -> Difference:
    """Compare the outputs of a file with exact arithmetic; a float output counts in 255ths of its range."""
    max_lsb, differing, values = 0.0, 0, 0
    for ours, right, lsb in zip(found, exact, lsbs, strict=True):
        if ours.shape != right.shape:
            return Difference(float("inf"), right.size, right.size)
        step = lsb if lsb is not None else float(right.max() - right.min()) / LEVELS or 1.0
        apart = np.abs(ours.astype(np.float64) - right.astype(np.float64))
        apart = np.where(np.isfinite(apart), apart, np.inf)
        max_lsb = max(max_lsb, float(apart.max(initial=0.0)) / step)
        differing += int((ours != right).sum())
        values += right.size
    return Difference(max_lsb, differing, values)


def instructions_of(marks: str, runs: int) -> list[Instructions]:
    """Instructions of each file, from the marks before and after its runs: the later count less the earlier one.

    The first run of a file is left out, because it prepares; of the others the shortest counts.
    """
    counts = np.array([[int(word) for word in line.split()] for line in marks.splitlines()], dtype=np.int64)
    found = []
    for of_file in counts.reshape(-1, runs + 1, counts.shape[1]):
        each = np.diff(of_file, axis=0)[1:]
        found.append(Instructions(*(int(count) for count in each[each[:, 0].argmin()])))
    return found
