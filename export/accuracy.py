"""Accuracy of several runners, and how far each is from float32, in one pass over the data.

    top1            share of images whose highest logit is the label, in percent
    top1_agreement  share of images whose highest logit is that of the reference, in percent
    sqnr_db         10 log10(sum of reference**2 / sum of (reference - logits)**2), over all logits of all images

The reference is the first fp32 runner. Only sums are kept: memory does not grow with the data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fxpasses.errors import InputError
from fxpasses.label_check import require_classes

from .runners import FLOAT_PRECISIONS, Runner

Batch = tuple[Tensor | tuple[Tensor, ...], Tensor | None]
Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much is done, and how much there is (0 where that is not known)."""


@dataclass(frozen=True)
class Comparison:
    """What one runner made of the data.

    Attributes:
        images: seen.
        top1: percent; None where there are no labels.
        top1_agreement: percent of images with the reference's class; None where outputs are no logits ``[B, classes]``.
        sqnr_db: None where the outputs equal the reference's bit for bit (the ratio is infinite then).
    """

    images: int
    top1: float | None
    top1_agreement: float | None
    sqnr_db: float | None

    @property
    def accuracy(self) -> dict[str, object]:
        """report.json's ``accuracy``."""
        return {"top1": self.top1, "images": self.images}

    @property
    def vs_fp32(self) -> dict[str, object]:
        """report.json's ``vs_fp32``."""
        return {"top1_agreement": self.top1_agreement, "sqnr_db": self.sqnr_db}


def reference_of(runners: Sequence[Runner]) -> Runner:
    """The runner all others are compared with: the first in float32.

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
    runners: Sequence[Runner], batches: Iterable[Batch], *, progress: Progress | None = None, total: int = 0
) -> dict[str, Comparison]:
    """Run every runner on every batch.

    Args:
        runners: their names differ; one at least is in fp32.
        batches: inputs ``[B, ...]``, or a tuple of them, with labels ``[B]`` or None.
        progress: called after each batch with the images done, of ``total``.
        total: images there are, for ``progress``.

    Returns:
        A :class:`Comparison` by name of runner.

    Raises:
        InputError: no fp32 runner, no images, labels of another number than images, or logits that are not finite.
    """
    reference = reference_of(runners)
    assert len({r.name for r in runners}) == len(runners), "runners need names of their own"
    sums = {runner.name: AccuracySums() for runner in runners}
    for inputs, labels in batches:
        given = inputs if isinstance(inputs, tuple) else (inputs,)
        expected = _logits(reference, given, labels)
        for runner in runners:
            logits = expected if runner is reference else _logits(runner, given, labels)
            sums[runner.name].add(logits, expected, labels)
        if progress is not None:
            progress("accuracy", sums[reference.name].images, total)
    if not sums[reference.name].images:
        raise InputError("cannot measure accuracy", why="there is not one image", fix="give at least one batch")
    return {name: found.comparison() for name, found in sums.items()}


@dataclass
class AccuracySums:
    """Running sums over the batches seen; ``loss`` is the cross entropy, summed over labels."""

    images: int = 0
    decisions: int = 0
    agreeing: int = 0
    labelled: int = 0
    right: int = 0
    loss: float = 0.0
    signal: float = 0.0
    noise: float = 0.0

    def add(self, logits: Tensor, expected: Tensor, labels: Tensor | None) -> None:
        self.images += len(expected) if expected.dim() else 1
        self.signal += float(expected.double().square().sum())
        self.noise += float((expected.double() - logits.double()).square().sum())
        if not _has_classes(expected):
            return
        classes = logits.argmax(1)
        self.decisions += classes.numel()
        self.agreeing += int((classes == expected.argmax(1)).sum())
        if labels is not None:
            self.labelled += labels.numel()
            self.right += int((classes == labels).sum())
            self.loss += float(F.cross_entropy(logits.float(), labels.long(), reduction="sum"))

    def comparison(self) -> Comparison:
        """In percent and decibels; None for what there was nothing to tell from."""
        agreement = _percent(self.agreeing, self.decisions)
        return Comparison(self.images, _percent(self.right, self.labelled), agreement, sqnr_db(self.signal, self.noise))

    @property
    def mean_loss(self) -> float | None:
        """For each label; None without labels."""
        return self.loss / self.labelled if self.labelled else None


def sqnr_db(signal: float, noise: float) -> float | None:
    """Signal-to-quantization-noise ratio in decibels; None without signal or without noise."""
    return 10 * math.log10(signal / noise) if signal > 0 and noise > 0 else None


def _logits(runner: Runner, inputs: tuple[Tensor, ...], labels: Tensor | None) -> Tensor:
    return checked_logits(runner(*inputs), labels, runner.name)


def checked_logits(logits: Tensor, labels: Tensor | None, who: str) -> Tensor:
    """The logits ``who`` gave.

    Raises:
        InputError: they are not finite, there is not one label for each decision, or one is no class.
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
            why="no accuracy can be told of them",
            fix="check weights and preprocessing: the inputs may be NaN, or far too large",
        )
    return logits


def _has_classes(logits: Tensor) -> bool:
    return logits.dim() > 1


def _percent(part: int, whole: int) -> float | None:
    return 100.0 * part / whole if whole else None
