"""Metrics: the quality of a model at its task as one number over labelled data; ``--metric`` selects one.

    top1, top5    share of decisions with the label among the one or five highest logits, in percent
    mse, mae      mean of the squared, or absolute, difference of output and label
    psnr          10 log10(range**2 / mse) in dB; the range is that of the labels seen
    miou          mean over classes of intersection / union, in percent; 255 and negative labels are left out
    f1            mean over classes of the harmonic mean of precision and recall, in percent
    wer           wrong words in percent; see :mod:`.ctc_text`
    map           mean average precision of boxes, in percent; see :mod:`.detected_boxes`

``miou``, ``f1``, ``wer`` and ``map`` need torchmetrics, an extra: ``pip install "fxpasses[metrics]"``. Each is a
:class:`Metric`, which creates a :class:`MetricSums` for each model; only sums are stored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from torch import Tensor

from fxpasses.errors import InputError

from .metric_sums import Differences, RightAnswers, peak_to_noise
from .torchmetrics_sums import detections, f1_score, mean_iou, word_errors

POINTS = "points"


class MetricSums(Protocol):
    """Sums of a metric over the data of one model."""

    def add(self, output: Any, labels: Any) -> None:
        """Add a batch: the measured output (all outputs as a tuple if the metric reads all), and its labels."""

    def value(self) -> float:
        """The metric over all batches."""


@dataclass(frozen=True)
class Metric:
    """One metric of one output.

    Attributes:
        name: the name that was requested.
        title: its name in tables.
        start: creates the sums for a model.
        falls: whether smaller values are better.
        unit: ``"%"``, ``"dB"`` or ``""``.
        classes: whether labels are classes, one for each decision of logits ``[B, classes, ...]``.
        decides: whether the highest logit is the answer, so that agreement with float is meaningful.
        index: index of the measured output tensor of the model.
        key: the caller's key of this output.
        reads_all: whether it reads all outputs instead.
    """

    name: str
    title: str
    start: Callable[[], MetricSums]
    falls: bool = False
    unit: str = "%"
    classes: bool = False
    decides: bool = False
    index: int = 0
    key: str = "output"
    reads_all: bool = False

    @property
    def is_share(self) -> bool:
        """Whether the metric is a share of decisions; its standard error then follows from their number."""
        return self.classes

    @property
    def what_is_lost(self) -> str:
        """The unit of a drop: ``points``, ``dB`` or, for a plain number, its title."""
        return {"%": POINTS, "dB": "dB"}.get(self.unit, self.title)

    def measured(self, outputs: Sequence[Tensor]) -> Any:
        """The part of the model's outputs that is passed to the sums."""
        if self.reads_all:
            return tuple(outputs) if len(outputs) > 1 else outputs[0]
        return outputs[self.index]

    def to_json(self, value: float) -> dict[str, Any]:
        """Content of report.json's ``accuracy.metric``."""
        return {**self.about(), "value": value}

    def about(self) -> dict[str, Any]:
        """Description of the metric and its output, without a value."""
        return {
            "name": self.name,
            "title": self.title,
            "unit": self.unit,
            "falls": self.falls,
            "output": "all" if self.reads_all else self.key,
        }


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("top1", "top-1", lambda: RightAnswers(1), classes=True, decides=True),
        Metric("top5", "top-5", lambda: RightAnswers(5), classes=True, decides=True),
        Metric("mse", "mse", lambda: Differences(2), falls=True, unit=""),
        Metric("mae", "mae", lambda: Differences(1), falls=True, unit=""),
        Metric("psnr", "PSNR", lambda: Differences(2, peak_to_noise), unit="dB"),
        Metric("miou", "mIoU", mean_iou, decides=True),
        Metric("f1", "F1", f1_score, decides=True),
        Metric("wer", "WER", word_errors, falls=True),
        Metric("map", "mAP", detections),
    )
}


def metric_named(name: str) -> Metric:
    """The metric with this name.

    Raises:
        InputError: the name is unknown.
    """
    if name not in METRICS:
        raise InputError(
            f"unknown metric {name!r}",
            why="it is neither a name nor a function of a file",
            fix=f"choose one of {', '.join(METRICS)}, or write path/file.py:function",
        )
    return METRICS[name]


def amount_text(drop: float, unit: str) -> str:
    """Text of a loss in the unit of :attr:`Metric.what_is_lost`: ``0.25 points``, ``0.00123 mse``."""
    return f"{drop:.2f} {unit}" if unit in (POINTS, "dB") else f"{drop:.3g} {unit}"


def of_output(metric: Metric, wanted: str | None, keys: Sequence[str]) -> Metric:
    """The metric for one of a model's outputs, given by key or number; for the first output if ``wanted`` is None.

    Raises:
        InputError: the model has no such output.
    """
    if wanted is None:
        return replace(metric, key=keys[0], reads_all=metric.reads_all and len(keys) > 1)
    index = keys.index(wanted) if wanted in keys else int(wanted) if wanted.isdecimal() else -1
    if not 0 <= index < len(keys):
        raise InputError(
            f"metric {metric.name} of output {wanted!r}",
            why=f"the model's outputs are {', '.join(keys)}",
            fix=f"write {metric.name}@{keys[0]}, or {metric.name} for the first",
        )
    return replace(metric, index=index, key=keys[index], reads_all=False)
