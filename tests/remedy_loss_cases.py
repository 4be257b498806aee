"""Errors of the losses of training: code that raises one, a part of its remedy, and the code with the remedy."""

from __future__ import annotations

from typing import Any

import torch
from remedy_subjects import Case
from training_nets import SHORT, calibration, float_graph, images, labelled, prepared, small

import fxpasses
from fxpasses.cli.jobs.task_losses import loss_for
from fxpasses.measure.metrics import metric_named
from fxpasses.training import TrainingRun
from fxpasses.training.runs.run_data import RunData
from fxpasses.training.runs.task_loss import Loss


def _run(loss: Loss | None = None, data: Any = None) -> TrainingRun:
    return TrainingRun(prepared(), RunData(data or labelled(), 4), SHORT, small(), calibration(), loss)


def _floats() -> list[Any]:
    return [(x, y.float()) for x, y in labelled()]


def _squares(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return (outputs[:, 0] - labels).square().mean()


LOSS_CASES: dict[str, Case] = {
    "fxpasses/training/runs/task_loss.py:_require_classes_for": (
        lambda _: _run(data=_floats()).step(),
        "pass a loss for other tasks",
        lambda _: _run(_squares, _floats()).step(),
    ),
    "fxpasses/training/runs/task_loss.py:loss": (
        lambda _: _run(lambda outputs, labels: outputs["logits"]).step(),
        "take what the model returns",
        lambda _: _run(_squares).step(),
    ),
    "fxpasses/training/runs/task_loss.py:loss#2": (
        lambda _: _run(lambda outputs, labels: outputs).step(),
        "return the mean over the batch",
        lambda _: _run(_squares).step(),
    ),
    "fxpasses/cli/jobs/task_losses.py:loss_for": (
        lambda _: loss_for(metric_named("wer"), float_graph()),
        "fxpasses.train_quantized(model, inputs, loader, loss=...)",
        lambda _: fxpasses.train_quantized(
            small(), images(1), labelled(), settings=SHORT, calibration=calibration(), loss=_squares
        ),
    ),
}
