"""Recovers accuracy lost by pruning: trains a little more, from labels and, if there is one, from the dense model.

Distillation (Hinton et al. 2015): the loss is ``(1 - w) CE(logits, labels) + w T^2 KL(teacher / T || logits / T)``.
BatchNorm statistics are averages over the data, so they can be estimated again without training. This is needed after
pruning, because the old ones are those of activations that no longer exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fxpasses.errors import InputError

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


@dataclass(frozen=True)
class Distillation:
    """Loss with a teacher, which is run and not changed. ``weight`` 0 is labels alone, 1 is the teacher alone."""

    teacher: nn.Module
    temperature: float = 4.0
    weight: float = 0.7

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1 or self.temperature <= 0:
            raise InputError(
                f"distillation of weight {self.weight} at temperature {self.temperature}",
                why="the weight is a share, and a temperature is positive",
                fix="use 0.7 and 4",
            )

    def __call__(self, inputs: Any, logits: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss of a batch."""
        with torch.no_grad():
            given = inputs if isinstance(inputs, tuple) else (inputs,)
            taught = F.log_softmax(self.teacher(*given).float() / self.temperature, 1)
        learned = F.log_softmax(logits / self.temperature, 1)
        apart = F.kl_div(learned, taught, reduction="batchmean", log_target=True) * self.temperature**2
        return (1 - self.weight) * F.cross_entropy(logits, labels) + self.weight * apart


@dataclass(frozen=True)
class TaskLoss:
    """Loss of outputs that are no logits: ``loss`` gets what the model returns, and the labels as they are."""

    loss: Callable[[Any, Any], Tensor]

    def __call__(self, inputs: Any, outputs: Any, labels: Any) -> Tensor:
        """Compute the loss of a batch."""
        return self.loss(outputs, labels)


def reestimate_batch_norm(
    module: nn.Module, batches: Iterable[Any], on_batch: Callable[[int], object] | None = None
) -> int:
    """Set the running statistics of every BatchNorm to their averages over the batches, in place.

    Everything else stays in eval mode. Returns the number of BatchNorms; if there are none, the data is not read.
    ``on_batch`` gets the size of each batch.

    Raises:
        InputError: there is not one batch.
    """
    norms = [m for m in module.modules() if isinstance(m, BATCH_NORMS) and m.track_running_stats]
    if not norms:
        return 0
    momenta = [norm.momentum for norm in norms]
    module.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over all batches
        norm.train()
    seen = 0
    try:
        with torch.no_grad():
            for inputs in batches:
                given = inputs if isinstance(inputs, tuple) else (inputs,)
                module(*given)
                seen += len(given[0])
                if on_batch is not None:
                    on_batch(len(given[0]))
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()
    if not seen:
        raise InputError("BatchNorm statistics", why="the data gave no batch", fix="give at least one")
    return len(norms)
