"""The loss that ``--qat``, ``--fine-tune`` and criteria of gradients follow, for the metric of the command."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from fxpasses.errors import InputError
from fxpasses.measure.metrics import Metric
from fxpasses.signature.outputs import output_tensors, tensors_of
from fxpasses.training.runs.task_loss import IGNORED, Loss

_UNLABELLED = 255
"""Label of pixels that ``miou`` leaves out."""


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
    if metric is None or metric.classes or metric.name == "miou":
        return lambda outputs, labels: F.cross_entropy(_measured(metric, outputs), _counted(labels))
    if metric.name in ("mse", "psnr"):
        return lambda outputs, labels: F.mse_loss(*_alike(_measured(metric, outputs), labels))
    if metric.name == "mae":
        return lambda outputs, labels: F.l1_loss(*_alike(_measured(metric, outputs), labels))
    raise InputError(
        f"training with the metric {metric.name}",
        why="it needs a loss, and none follows from that metric",
        fix="train in Python with a loss of your own: fxpasses.train_quantized(model, inputs, loader, loss=...)",
    )


def _measured(metric: Metric | None, outputs: Any) -> Tensor:
    return tensors_of(outputs)[0 if metric is None else metric.index]


def _counted(labels: Tensor) -> Tensor:
    """Labels in which what ``miou`` leaves out does not count."""
    return torch.where((labels < 0) | (labels == _UNLABELLED), IGNORED, labels)


def _alike(output: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Output and labels of the same shape: labels may lack dimensions of size 1, as for the metric."""
    known = labels.to(output.dtype)
    fits = [size for size in known.shape if size != 1] == [size for size in output.shape if size != 1]
    return output, known.reshape(output.shape) if fits else known
