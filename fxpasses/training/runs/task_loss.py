"""The loss that a training step minimises: cross-entropy of logits with distillation, or one of the caller's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ...callers_code import is_a_failure
from ...errors import InputError
from ...graph.devices import on_device
from ...signature.label_check import require_classes
from ...user_frames import first_line, users_frame
from .losses import distilled_loss
from .run_settings import RunSettings

Loss = Callable[[Any, Any], Tensor]
"""``(outputs, labels) -> loss``, a tensor of one number. Outputs are what the model returns."""

TaskLoss = Callable[[Any, Any, Any, int], tuple[Tensor, Tensor | None]]
"""``(outputs, labels, taught, samples) -> (loss, right)``: ``labels`` are on the CPU; ``taught`` are the float model's
outputs, or None; ``right`` is the number of right answers among the samples, or None where nothing is right or wrong.
"""

IGNORED = -100
"""Label of a decision that does not count, as in :func:`torch.nn.functional.cross_entropy`."""


def class_loss(settings: RunSettings) -> TaskLoss:
    """Cross-entropy of logits ``[B, classes, ...]`` for labels ``[B, ...]``, distilled as the settings ask for."""

    def loss(outputs: Any, labels: Any, taught: Any, samples: int) -> tuple[Tensor, Tensor]:
        _require_classes_for(outputs, labels)
        there = on_device(labels, outputs.device)
        counts = there != IGNORED
        right = ((outputs.detach().argmax(1) == there) & counts).sum() * samples / counts.sum().clamp(min=1)
        return distilled_loss(outputs, there, taught, settings), right

    return loss


def own_loss(function: Loss, device: torch.device) -> TaskLoss:
    """The caller's loss; the float model does not teach, since it is not known what its outputs mean."""

    def loss(outputs: Any, labels: Any, taught: Any, samples: int) -> tuple[Tensor, None]:
        try:
            found: object = function(outputs, on_device(labels, device))
        except BaseException as error:
            if not is_a_failure(error):
                raise
            raise InputError(
                "the loss failed",
                why=first_line(error),
                fix="make it take what the model returns, and the labels of a batch as they are",
                at=users_frame(error),
            ) from error
        if not isinstance(found, Tensor) or found.numel() != 1 or not found.requires_grad:
            what = f"a tensor of shape {list(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
            without = " that depends on no weight" if isinstance(found, Tensor) and found.numel() == 1 else ""
            raise InputError(
                f"the loss gave {what}{without}",
                why="training follows the gradient of one number",
                fix="return the mean over the batch, computed from the outputs by torch",
            )
        return found.reshape(()), None

    return loss


def _require_classes_for(logits: Any, labels: Any) -> None:
    if (
        not isinstance(logits, Tensor)
        or logits.dim() < 2
        or not isinstance(labels, Tensor)
        or labels.shape != logits[:, 0].shape
        or labels.dtype != torch.int64
    ):
        found = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        given = f"{labels.dtype} {list(labels.shape)}" if isinstance(labels, Tensor) else type(labels).__name__
        raise InputError(
            f"no cross-entropy of outputs {found} and labels {given}",
            why="it takes logits [B, classes, ...] and int64 labels [B, ...]",
            fix="pass a loss for other tasks: train_quantized(..., loss=lambda outputs, labels: ...)",
        )
    require_classes(labels[labels != IGNORED], logits.shape[1], "the data")
