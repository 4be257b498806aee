"""Sums for metrics that torch computes directly: correct decisions, and differences to labels of the same shape."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from fxpasses.errors import InputError
from fxpasses.signature.label_check import require_classes

CLEAREST_DB = 200.0
"""PSNR of outputs that equal their labels, instead of infinity; float32 cannot resolve differences beyond 150 dB."""


def required_labels(labels: Any, metric: str) -> Tensor:
    """The labels as a tensor; InputError for other types and without labels."""
    if isinstance(labels, Tensor):
        return labels
    given = "the data has no labels" if labels is None else f"its labels are a {type(labels).__name__}"
    raise InputError(f"cannot measure {metric}", why=given, fix="give (inputs, labels) batches, labels as one tensor")


@dataclass
class RightAnswers:
    """Percent of decisions with the label among the ``most`` highest logits ``[B, classes, ...]``."""

    most: int
    right: int = 0
    decisions: int = 0

    def add(self, output: Tensor, labels: Any) -> None:
        """Add a batch; labels are ``[B, ...]``, a class for each decision."""
        known = required_labels(labels, f"top-{self.most}")
        if output.dim() < 2 or known.shape != output[:, 0].shape:
            raise InputError(
                f"labels of shape {list(known.shape)} for outputs of shape {list(output.shape)}",
                why="every decision needs one label",
                fix="give labels [B] for logits [B, classes], or choose another `metric`",
            )
        require_classes(known, output.shape[1], "the data")
        best = output.topk(min(self.most, output.shape[1]), dim=1).indices
        self.right += int((best == known.unsqueeze(1)).sum())
        self.decisions += known.numel()

    def value(self) -> float:
        """The percentage of correct decisions."""
        return 100.0 * self.right / self.decisions


@dataclass
class Differences:
    """Mean of ``|output - label| ** power``, or the result of ``of_mean`` for this mean and the labels' range."""

    power: int
    of_mean: Callable[[float, float], float] = field(default=lambda mean, _: mean)
    total: float = 0.0
    values: int = 0
    low: float = math.inf
    high: float = -math.inf

    def add(self, output: Tensor, labels: Any) -> None:
        """Add a batch; labels have the output's shape, except for dimensions of size 1."""
        known = required_labels(labels, "a difference to labels")
        if [s for s in known.shape if s != 1] != [s for s in output.shape if s != 1]:
            raise InputError(
                f"labels of shape {list(known.shape)} for outputs of shape {list(output.shape)}",
                why="a difference needs a label for each value",
                fix='give labels of the shape of the output, or name another output: `metric="mse@KEY"`',
            )
        wide = known.to(torch.float64).reshape(output.shape)
        self.total += float((output.to(torch.float64) - wide).abs().pow(self.power).sum())
        self.values += wide.numel()
        self.low, self.high = min(self.low, float(wide.min())), max(self.high, float(wide.max()))

    def value(self) -> float:
        """The value over all batches."""
        return self.of_mean(self.total / self.values, self.high - self.low)


def peak_to_noise(mean_square: float, peak: float) -> float:
    """Peak signal-to-noise ratio in dB.

    Raises:
        InputError: all labels are one number.
    """
    if peak <= 0:
        raise InputError("cannot measure psnr", why="all labels are the same number", fix='choose `metric="mse"`')
    return CLEAREST_DB if mean_square == 0 else min(CLEAREST_DB, 10 * math.log10(peak**2 / mean_square))
