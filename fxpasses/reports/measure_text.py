"""Text on the accuracy measure of a report: top-1 in percent, or the metric that ``--metric`` named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .numbers import UNKNOWN, decibel_text, percent_text, points_text

Variants = Sequence[Mapping[str, Any]]
UNNAMED = ("output", "all")
"""Names in reports of the only output of a model, and of all its outputs together: text leaves them out."""


@dataclass(frozen=True)
class Measure:
    """The measure that stands for accuracy.

    Attributes:
        title: its name in tables.
        unit: ``"%"``, ``"dB"`` or ``""``.
        falls: whether less is better.
        output: name of the output it is measured on, if the model has several.
    """

    title: str = "top-1"
    unit: str = "%"
    falls: bool = False
    output: str | None = None

    @classmethod
    def of(cls, variants: Variants) -> Measure:
        """Return the measure of these variants."""
        found = (variant["accuracy"].get("metric") for variant in variants)
        return cls.about(next((metric for metric in found if metric is not None), None))

    @classmethod
    def about(cls, metric: Mapping[str, Any] | None) -> Measure:
        """Return the measure that a document names; top-1 if it names none."""
        if metric is None:
            return cls()
        output = None if metric["output"] in UNNAMED else str(metric["output"])
        return cls(metric["title"], metric["unit"], metric["falls"], output)

    @property
    def name(self) -> str:
        """Name with the output: ``mIoU of out``."""
        return self.title if self.output is None else f"{self.title} of {self.output}"

    @property
    def direction(self) -> str:
        """Note on the direction, empty for accuracy, which is known to be better if it is larger."""
        return "less is better" if self.falls else ""

    def text(self, value: float | None) -> str:
        """Value as text: ``91.5 %``, ``31.2 dB``, ``0.0123``."""
        if value is None:
            return UNKNOWN
        return {"%": percent_text, "dB": decibel_text}.get(self.unit, lambda bare: f"{bare:.4g}")(value)

    def change_text(self, change: float | None) -> str:
        """Change as text: ``−0.3 points``, ``+0.0012``."""
        if change is None:
            return UNKNOWN
        if self.unit == "%":
            return points_text(change)
        sign = "±" if change == 0 else "+" if change > 0 else "−"
        return f"{sign}{abs(change):.3g}{f' {self.unit}' if self.unit else ''}"
