"""Accuracy of several runners, and the difference of each from float32, in one pass over the data.

    top1            share of images whose highest logit is the label, in percent
    top1_agreement  share of images whose highest logit is that of the reference, in percent
    sqnr_db         10 log10(sum of reference**2 / sum of (reference - logits)**2), over all logits of all images
    metric          the value of a requested metric (:mod:`.metrics`) for its output

The reference is the first fp32 runner. Only sums are kept: memory does not grow with the data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fxpasses.errors import InputError
from fxpasses.signature.label_check import require_classes
from fxpasses.sqnr import sqnr_db

from .metrics import Metric, MetricSums
from .runners import FLOAT_PRECISIONS, Runner

Batch = tuple[Tensor | tuple[Tensor, ...], Any]
Progress = Callable[[str, int, int], None]
"""Function called with the name of a step, the amount done, and the total amount (0 if unknown)."""


@dataclass(frozen=True)
class Comparison:
    """Results of one runner on the data.

    Attributes:
        images: number of images.
        top1: percent; None without labels.
        top1_agreement: percent of images with the reference's class; None if outputs are no logits ``[B, classes]``.
        sqnr_db: None if the outputs equal the reference's bit for bit (the ratio would be infinite).
        metric: report.json's ``accuracy.metric``, if a metric was requested.
    """

    images: int
    top1: float | None
    top1_agreement: float | None
    sqnr_db: float | None
    metric: Mapping[str, Any] | None = None

    @property
    def is_labelled(self) -> bool:
        """Whether there were labels."""
        return self.top1 is not None or self.metric is not None

    @property
    def accuracy(self) -> dict[str, object]:
        """Content of report.json's ``accuracy``."""
        measured = {} if self.metric is None else {"metric": dict(self.metric)}
        return {"top1": self.top1, "images": self.images, **measured}

    @property
    def vs_fp32(self) -> dict[str, object]:
        """Content of report.json's ``vs_fp32``."""
        return {"top1_agreement": self.top1_agreement, "sqnr_db": self.sqnr_db}


def reference_of(runners: Sequence[Runner]) -> Runner:
    """The runner that all others are compared with: the first one in float32.

    Raises:
        InputError: there is none.
    """
    for runner in runners:
        if runner.precision in FLOAT_PRECISIONS:
            return runner
    raise InputError(
        "cannot compare with float32",
        why=f"none of the runners is: {', '.join(r.name for r in runners) or 'there are none'}",
        fix="add the float model",
    )


def compare(
    runners: Sequence[Runner],
    batches: Iterable[Batch],
    *,
    metric: Metric | None = None,
    output_dims: Sequence[int | None] = (),
    progress: Progress | None = None,
    total: int = 0,
) -> dict[str, Comparison]:
    """Run every runner on every batch, and compare them.

    Args:
        runners: with different names; at least one is in fp32.
        batches: inputs ``[B, ...]``, or a tuple of them, with labels ``[B]`` or None; with a metric, the labels that it
            takes.
        metric: measured in addition; agreement and SQNR are then those of its output.
        output_dims: the dimension of the samples in each output, if it is not 0; they are compared with it in front.
        progress: called after each batch with the number of images done, and ``total``.
        total: number of images, for ``progress``.

    Returns:
        A :class:`Comparison` by name of runner.

    Raises:
        InputError: there is no fp32 runner or no image, the numbers of labels and images differ, or logits are not
            finite.
    """
    reference = reference_of(runners)
    assert len({r.name for r in runners}) == len(runners), "runners need names of their own"
    sums = {runner.name: MeasuredSums.of(metric) for runner in runners}
    for inputs, labels in batches:
        given = inputs if isinstance(inputs, tuple) else (inputs,)
        expected = outputs_read(reference, given, metric, output_dims)
        for runner in runners:
            found = expected if runner is reference else outputs_read(runner, given, metric, output_dims)
            sums[runner.name].add(found, expected, labels, runner.name)
        if progress is not None:
            progress("accuracy", sums[reference.name].accuracy.images, total)
    if not sums[reference.name].accuracy.images:
        raise InputError("cannot measure accuracy", why="there is not one image", fix="give at least one batch")
    return {name: found.comparison() for name, found in sums.items()}


def outputs_read(
    runner: Runner, inputs: tuple[Tensor, ...], metric: Metric | None, dims: Sequence[int | None] = ()
) -> tuple[Tensor, ...]:
    """The compared outputs, the main one first: the model's first output, or those that the metric reads.

    Args:
        dims: the dimension of the samples in each output of the model; it is moved to the front.
    """
    if metric is None or (not metric.reads_all and not metric.index):
        return samples_first((runner(*inputs),), dims)
    outputs = samples_first(tuple(runner.outputs(*inputs)), dims)
    return outputs if metric.reads_all else (outputs[metric.index],)


def samples_first(outputs: tuple[Tensor, ...], dims: Sequence[int | None]) -> tuple[Tensor, ...]:
    """Outputs with their samples along dimension 0; unchanged where their dimension is not known."""
    places = [*dims, *[None] * (len(outputs) - len(dims))]
    pairs = zip(outputs, places[: len(outputs)], strict=True)
    return tuple(x.movedim(dim, 0) if dim and x.dim() > dim else x for x, dim in pairs)


@dataclass
class MeasuredSums:
    """Sums of one model: those of accuracy, and those of a metric if one is requested."""

    accuracy: AccuracySums
    metric: Metric | None = None
    sums: MetricSums | None = None

    @classmethod
    def of(cls, metric: Metric | None) -> MeasuredSums:
        """Sums before the first batch."""
        if metric is None:
            return cls(AccuracySums())
        return cls(AccuracySums(decides=metric.decides), metric, metric.start())

    def add(self, outputs: tuple[Tensor, ...], expected: tuple[Tensor, ...], labels: Any, who: str) -> None:
        """Add a batch: the outputs of the runner named ``who``, and the reference's, both from :func:`outputs_read`."""
        classes = labels if self.metric is None or self.metric.classes else None
        self.accuracy.add(checked_logits(outputs[0], classes, who), expected[0], classes)
        if self.metric is None or self.sums is None:
            return
        if labels is None:
            raise InputError(
                f"cannot measure {self.metric.name}", why="the data has no labels", fix="give (inputs, labels) batches"
            )
        self.sums.add(outputs if self.metric.reads_all and len(outputs) > 1 else outputs[0], labels)

    @property
    def value(self) -> float | None:
        """Value of the metric; None without a metric."""
        return None if self.sums is None else self.sums.value()

    def comparison(self) -> Comparison:
        """The results from the sums."""
        found, value = self.accuracy.comparison(), self.value
        if self.metric is None or value is None:
            return found
        return replace(found, metric=self.metric.to_json(value))


@dataclass
class AccuracySums:
    """Sums over the batches so far; ``loss`` is the cross entropy, summed over labels.

    If the highest value of an output is not a class, ``decides`` is False, and no agreement is measured.
    """

    images: int = 0
    decisions: int = 0
    agreeing: int = 0
    labelled: int = 0
    right: int = 0
    loss: float = 0.0
    signal: float = 0.0
    noise: float = 0.0
    decides: bool = True

    def add(self, logits: Tensor, expected: Tensor, labels: Tensor | None) -> None:
        self.images += len(expected) if expected.dim() else 1
        self.signal += float(expected.double().square().sum())
        self.noise += float((expected.double() - logits.double()).square().sum())
        if not self.decides or not _has_classes(expected):
            return
        classes = logits.argmax(1)
        self.decisions += classes.numel()
        self.agreeing += int((classes == expected.argmax(1)).sum())
        if labels is not None:
            self.labelled += labels.numel()
            self.right += int((classes == labels).sum())
            self.loss += float(F.cross_entropy(logits.float(), labels.long(), reduction="sum"))

    def comparison(self) -> Comparison:
        """The results in percent and decibels; None for those without data."""
        agreement = _percent(self.agreeing, self.decisions)
        return Comparison(self.images, _percent(self.right, self.labelled), agreement, sqnr_db(self.signal, self.noise))

    @property
    def mean_loss(self) -> float | None:
        """Mean loss per label; None without labels."""
        return self.loss / self.labelled if self.labelled else None


def checked_logits(logits: Tensor, labels: Tensor | None, who: str) -> Tensor:
    """The logits of the runner named ``who``, after a check.

    Raises:
        InputError: they are not finite, the number of labels and of decisions differ, or a label is no class.
    """
    if labels is not None and _has_classes(logits) and labels.shape != logits[:, 0].shape:
        raise InputError(
            f"labels of shape {tuple(labels.shape)} for logits of shape {tuple(logits.shape)}",
            why="every decision needs one label",
            fix="give labels [B] for logits [B, classes]",
        )
    if labels is not None and _has_classes(logits):
        require_classes(labels, logits.shape[1], "the data")
    if not bool(torch.isfinite(logits).all()):
        raise InputError(
            f"{who} gave NaN or infinite logits",
            why="no accuracy can be computed from them",
            fix="check weights and preprocessing: the inputs may be NaN, or far too large",
        )
    return logits


def _has_classes(logits: Tensor) -> bool:
    return logits.dim() > 1 and logits.dtype is not torch.bool


def _percent(part: int, whole: int) -> float | None:
    return 100.0 * part / whole if whole else None
