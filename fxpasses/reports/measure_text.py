"""What a report's variants are judged by, in words: top-1 in percent, or the metric that ``--metric`` named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .numbers import UNKNOWN, decibel_text, percent_text, points_text

Variants = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Measure:
    """The number that stands for accuracy.

    Attributes:
        title: as tables say it.
        unit: ``"%"``, ``"dB"`` or ``""``.
        falls: whether less is better.
        output: the output it is of, where it is not the model's only one.
    """

    title: str = "top-1"
    unit: str = "%"
    falls: bool = False
    output: str | None = None

    @classmethod
    def of(cls, variants: Variants) -> Measure:
        """What these variants were judged by."""
        found = (variant["accuracy"].get("metric") for variant in variants)
        return cls.about(next((metric for metric in found if metric is not None), None))

    @classmethod
    def about(cls, metric: Mapping[str, Any] | None) -> Measure:
        """What a document says it was judged by; top-1 where it does not say."""
        if metric is None:
            return cls()
        output = None if metric["output"] == "output" else str(metric["output"])
        return cls(metric["title"], metric["unit"], metric["falls"], output)

    @property
    def name(self) -> str:
        """``mIoU of out``."""
        return self.title if self.output is None else f"{self.title} of {self.output}"

    @property
    def direction(self) -> str:
        """Said of what is no accuracy, which everybody knows to rise."""
        return "less is better" if self.falls else ""

    def text(self, value: float | None) -> str:
        """``91.5 %``, ``31.2 dB``, ``0.0123``."""
        if value is None:
            return UNKNOWN
        return {"%": percent_text, "dB": decibel_text}.get(self.unit, lambda bare: f"{bare:.4g}")(value)

    def change_text(self, change: float | None) -> str:
        """``−0.3 points``, ``+0.0012``."""
        if change is None:
            return UNKNOWN
        if self.unit == "%":
            return points_text(change)
        sign = "±" if change == 0 else "+" if change > 0 else "−"
        return f"{sign}{abs(change):.3g}{f' {self.unit}' if self.unit else ''}"
