"""The loss that ``--qat``, ``--fine-tune`` and criteria of gradients follow, for the metric of the command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor, fx

from fxpasses.errors import InputError
from fxpasses.measure.metrics import Metric
from fxpasses.measure.torchmetrics_sums import IGNORED, pixel_classes
from fxpasses.signature.outputs import output_tensors, tensors_of
from fxpasses.training.runs.task_loss import Loss


def loss_for(metric: Metric | None, graph: fx.GraphModule) -> Loss | None:
    """The loss for a metric; None for cross-entropy with distillation, which classes of a single output are trained by.

    Args:
        metric: None for top-1 of the first output.
        graph: the captured model.

    Raises:
        InputError: no loss follows from the metric.
    """
    if (metric is None or metric.classes) and [output.keys for output in output_tensors(graph)] == [()]:
        return None
    loss = F.cross_entropy if metric is None or metric.classes else _LOSSES.get(metric.name)
    if loss is not None:
        return lambda outputs, labels: loss(_measured(metric, outputs), labels)
    assert metric is not None
    raise InputError(
        f"training with the metric {metric.name}",
        why="it needs a loss, and none follows from that metric",
        fix="train in Python with a loss of your own: fxpasses.train_quantized(model, inputs, loader, loss=...)",
    )


def _measured(metric: Metric | None, outputs: Any) -> Tensor:
    return tensors_of(outputs)[0 if metric is None else metric.index]


def _of_pixels(logits: Tensor, labels: Tensor) -> Tensor:
    scaled, known = pixel_classes(logits, labels)
    return F.cross_entropy(scaled, known, ignore_index=IGNORED)


def _of_one_or_several(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of one class for each sample, or of each class by itself where labels are 0 and 1 for each."""
    if labels.shape == logits.shape:
        return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))
    return F.cross_entropy(logits, labels.long())


def _squared(output: Tensor, labels: Tensor) -> Tensor:
    return F.mse_loss(output, _as_output(output, labels))


def _absolute(output: Tensor, labels: Tensor) -> Tensor:
    return F.l1_loss(output, _as_output(output, labels))


def _as_output(output: Tensor, labels: Tensor) -> Tensor:
    """Labels in the shape of the output: they may lack dimensions of size 1, as for the metric."""
    known = labels.to(output.dtype)
    fits = [size for size in known.shape if size != 1] == [size for size in output.shape if size != 1]
    return known.reshape(output.shape) if fits else known


_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "miou": _of_pixels,
    "f1": _of_one_or_several,
    "mse": _squared,
    "psnr": _squared,
    "mae": _absolute,
}
"""Loss of an output for each metric from which one follows."""
