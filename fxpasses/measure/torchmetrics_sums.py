"""Sums of torchmetrics for ``miou``, ``f1``, ``wer`` and ``map``; the package is an extra, imported at first use."""

from __future__ import annotations

import importlib
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from fxpasses.errors import InputError
from fxpasses.signature.label_check import require_classes

from .metric_sums import required_labels

UNLABELLED = 255
"""Label of pixels without a class, as in Pascal VOC and Cityscapes."""
IGNORED = -1
Batch = tuple[Any, Any]


@dataclass
class TorchmetricsSums:
    """Sums of a metric of torchmetrics, created once the first batch shows the number of classes."""

    make: Callable[[Tensor, Tensor], Any]
    prepared: Callable[[Any, Any], Batch]
    read: Callable[[Any], float]
    metric: Any = None

    def add(self, output: Any, labels: Any) -> None:
        """Add a batch."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torchmetrics' remarks on classes without a label
            found, known = self.prepared(output, labels)
            if self.metric is None:
                self.metric = self.make(found, known)
            self.metric.update(found, known)

    def value(self) -> float:
        """The value over all batches.

        Raises:
            InputError: there is no usable label.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = self.read(self.metric.compute())
        if not math.isfinite(value):
            raise InputError(
                "cannot measure the metric", why="there is no usable label: all are left out", fix="check the labels"
            )
        return value


def torchmetrics_part(module: str, name: str) -> Any:
    """A class of torchmetrics.

    Raises:
        InputError: the package, or what it needs, is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if module == "detection":
                importlib.import_module("pycocotools")
            return getattr(importlib.import_module(f"torchmetrics.{module}"), name)
    except ImportError as error:
        raise InputError(
            f"cannot import {error.name}",
            why="miou, f1, wer and map are torchmetrics', which is an extra",
            fix='pip install "fxpasses[metrics]"',
        ) from error


def mean_iou() -> TorchmetricsSums:
    """Mean over classes of intersection / union, in percent: logits ``[B, classes, H, W]``, labels ``[B, H, W]``.

    Logits of another height and width are scaled to the labels', bilinearly, as segmentation nets are evaluated.
    """
    return TorchmetricsSums(_jaccard, pixel_classes, lambda found: 100 * float(found))


def _jaccard(output: Tensor, _: Tensor) -> Any:
    kind = torchmetrics_part("classification", "MulticlassJaccardIndex")
    return kind(num_classes=output.shape[1], ignore_index=IGNORED)


def pixel_classes(output: Tensor, labels: Any) -> Batch:
    """Logits at the size of the labels, and labels in which pixels that are left out are :data:`IGNORED`."""
    known = required_labels(labels, "miou")
    if output.dim() < 3 or known.dim() != output.dim() - 1 or len(known) != len(output) or known.is_floating_point():
        raise InputError(
            f"{str(known.dtype).removeprefix('torch.')} labels {list(known.shape)} for outputs {list(output.shape)}",
            why="miou compares logits [B, classes, H, W] with classes [B, H, W]",
            fix='give whole numbers as labels, or name another output: `metric="miou@KEY"`',
        )
    if known.shape[1:] != output.shape[2:]:
        if output.dim() != 4:
            raise InputError(
                f"labels of shape {list(known.shape)} for outputs of shape {list(output.shape)}",
                why="only images are scaled",
                fix="give labels of the output's size",
            )
        output = F.interpolate(output.float(), size=known.shape[1:], mode="bilinear", align_corners=False)
    known = known.long()
    left_out = (known < 0) | ((known == UNLABELLED) & (output.shape[1] <= UNLABELLED))
    require_classes(known[~left_out], output.shape[1], "the data")
    return output, known.masked_fill(left_out, IGNORED)


def f1_score() -> TorchmetricsSums:
    """Mean F1 over classes, in percent.

    Logits ``[B, classes]`` with labels ``[B]``; or, for several classes per sample, labels of the output's shape with 0
    and 1; an output above 0 means 1.
    """
    return TorchmetricsSums(_f1, _classification, lambda found: 100 * float(found))


def _f1(output: Tensor, labels: Tensor) -> Any:
    if labels.shape == output.shape:
        return torchmetrics_part("classification", "MultilabelF1Score")(num_labels=output.shape[1])
    return torchmetrics_part("classification", "MulticlassF1Score")(num_classes=output.shape[1])


def _classification(output: Tensor, labels: Any) -> Batch:
    known = required_labels(labels, "f1")
    if output.dim() < 2 or known.shape not in (output.shape, output[:, 0].shape):
        raise InputError(
            f"labels of shape {list(known.shape)} for outputs of shape {list(output.shape)}",
            why="f1 takes a class for each decision, or 0 and 1 for each output",
            fix="give labels [B] or [B, classes] for outputs [B, classes]",
        )
    several = known.shape == output.shape
    require_classes(known.long(), 2 if several else output.shape[1], "the data")
    return (output > 0 if several else output), known.long()


def word_errors() -> TorchmetricsSums:
    """Word error rate in percent: of outputs ``[B, T, tokens]``, decoded greedily, against tokens ``[B, L]``.

    See :mod:`.ctc_text` for the conversion of tokens to words.
    """
    from .ctc_text import as_sentences

    return TorchmetricsSums(
        lambda *_: torchmetrics_part("text", "WordErrorRate")(), as_sentences, lambda found: 100 * float(found)
    )


def detections() -> TorchmetricsSums:
    """Mean average precision over IoU 0.5 to 0.95, in percent; see :mod:`.detected_boxes` for outputs and labels."""
    from .detected_boxes import as_detections

    return TorchmetricsSums(
        lambda *_: torchmetrics_part("detection", "MeanAveragePrecision")(backend="pycocotools"),
        as_detections,
        lambda found: 100 * max(float(found["map"]), 0.0),  # -1 where there is no box at all
    )
