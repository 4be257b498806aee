"""A small plain training loop: seeded, one device, cosine schedule, cross entropy.

Loshchilov and Hutter 2016 (cosine annealing, AdamW). The same seed gives the same weights on the same machine and
number of threads. With ``bf16`` products are computed from bfloat16 numbers and sums stay float32 (Kalamkar et al.
2019): this is faster on CPUs with avx512_bf16 or AMX, slower on others. The loop is not meant for long trainings such
as those on ImageNet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fxpasses.callers_code import is_a_failure
from fxpasses.errors import InputError
from fxpasses.signature.label_check import require_classes
from fxpasses.user_frames import first_line, users_frame

from .fine_tuning import TaskLoss

Batches = Iterable[tuple[Any, Any]]
Loss = Callable[[Any, Any, Any], Tensor]
"""Function that returns the loss of a batch from its inputs, the outputs of the model, and the labels."""


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one training run; ``momentum`` is for SGD only."""

    epochs: int = 10
    lr: float = 0.01
    optimizer: Literal["sgd", "adamw"] = "adamw"
    weight_decay: float = 1e-4
    momentum: float = 0.9
    label_smoothing: float = 0.0
    seed: int = 0
    bf16: bool = False

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.lr <= 0:
            raise InputError(
                f"cannot train {self.epochs} epochs at learning rate {self.lr}",
                why="both must be positive",
                fix="choose epochs >= 1 and lr > 0",
            )
        if self.optimizer not in ("sgd", "adamw"):
            raise InputError(f"unknown optimizer {self.optimizer!r}", why="there are sgd and adamw", fix="choose one")


@dataclass(frozen=True)
class Progress:
    """Progress that the callback gets after each epoch; ``loss`` is the epoch's mean."""

    epoch: int
    epochs: int
    loss: float


def train(
    module: nn.Module,
    batches_of_epoch: Callable[[int], Batches],
    config: TrainConfig | None = None,
    on_epoch: Callable[[Progress], object] | None = None,
    *,
    loss: Loss | None = None,
    after_step: Callable[[], object] | None = None,
    images_per_epoch: int | None = None,
) -> nn.Module:
    """Train the module in place and return it in eval mode.

    ``batches_of_epoch(epoch)`` gives inputs ``[B, ...]``, or a tuple of them, and int64 labels ``[B]``. ``loss``
    replaces cross entropy; with a :class:`.TaskLoss` outputs and labels may be anything;
    ``after_step`` is called after every step of the optimizer, for example to restore the zeros of masks. The learning
    rate falls on a cosine, after every batch if ``images_per_epoch`` is given, else after every epoch. Raises
    :class:`InputError` if an epoch is empty or the loss is no longer finite.
    """
    config = config or TrainConfig()
    run = _Run(module, config, _optimizer(module, config), loss or _loss_of(config), after_step, images_per_epoch)
    module.train()
    try:
        # Dropout draws from the global random state; fork_rng restores it afterwards.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            for epoch in range(config.epochs):
                mean = run.epoch(epoch, batches_of_epoch(epoch))
                if on_epoch is not None:
                    on_epoch(Progress(epoch + 1, config.epochs, mean))
    finally:
        module.eval()
    return module


@dataclass
class _Run:
    module: nn.Module
    config: TrainConfig
    optimizer: torch.optim.Optimizer
    loss_of: Loss
    after_step: Callable[[], object] | None
    images_per_epoch: int | None

    def epoch(self, epoch: int, batches: Batches) -> float:
        """Train one epoch and return its mean loss."""
        total, images = 0.0, 0
        for inputs, labels in batches:
            self._set_learning_rate(epoch, images)
            with torch.autocast("cpu", torch.bfloat16, enabled=self.config.bf16):
                outputs = self._outputs(inputs)
                if not isinstance(self.loss_of, TaskLoss):
                    outputs = _logits(outputs, inputs, labels)
                loss = self.loss_of(inputs, outputs, labels)
            if not bool(loss.isfinite()):
                raise InputError(
                    f"training diverged in epoch {epoch + 1}",
                    why=f"the loss is {loss.item()}",
                    fix="lower the learning rate, or look for NaN in the data",
                )
            self.optimizer.zero_grad()
            torch.autograd.backward(loss)
            self.optimizer.step()
            if self.after_step is not None:
                self.after_step()
            total += loss.item() * len(labels)
            images += len(labels)
        if not images:
            raise InputError(f"epoch {epoch + 1} has no images", why="the data gave no batch", fix="give at least one")
        return total / images

    def _outputs(self, inputs: Any) -> Any:
        try:
            return self.module(*(inputs if isinstance(inputs, tuple) else (inputs,)))
        except BaseException as error:  # the caller's forward may raise anything, even SystemExit
            if not is_a_failure(error):
                raise
            why, at = first_line(error), users_frame(error)
            fix = "choose another `batch`, or data that the model takes"
            raise InputError(f"the model does not train on {_told(inputs)}", why=why, fix=fix, at=at) from error

    def _set_learning_rate(self, epoch: int, images: int) -> None:
        part = 0.0 if self.images_per_epoch is None else min(images / self.images_per_epoch, 1.0)
        progress = (epoch + part) / self.config.epochs
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.lr * (1 + math.cos(math.pi * progress)) / 2


def _logits(logits: Any, inputs: Any, labels: Tensor) -> Tensor:
    """Logits for the loss; InputError if the model gives none, or labels are no classes of it."""
    if not isinstance(logits, Tensor) or logits.dim() < 2 or labels.shape != logits[:, 0].shape:
        found = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(
            f"cannot train on {_told(inputs)}",
            why=f"in training the model gives {found} for labels of shape {list(labels.shape)}",
            fix="train a model that returns logits [B, classes]",
        )
    require_classes(labels, logits.shape[1], "the data")
    return logits.float()


def _told(inputs: Any) -> str:
    shapes = [str(list(x.shape)) for x in (inputs if isinstance(inputs, tuple) else (inputs,))]
    return f"a batch of shape {', '.join(shapes)}"


def _loss_of(config: TrainConfig) -> Loss:
    return lambda _, logits, labels: F.cross_entropy(logits, labels, label_smoothing=config.label_smoothing)


def _optimizer(module: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    parameters = list(module.parameters())
    if config.optimizer == "sgd":
        nesterov = config.momentum > 0
        return torch.optim.SGD(
            parameters, config.lr, config.momentum, weight_decay=config.weight_decay, nesterov=nesterov
        )
    return torch.optim.AdamW(parameters, config.lr, weight_decay=config.weight_decay)
