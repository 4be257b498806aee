"""A training loop for networks with binary weights: Adam, a learning rate that falls by a factor a step, resumable.

BinaryConnect scales what Adam adds to a real weight by ``sqrt((fan_in + fan_out) / 1.5)``, the reciprocal of Glorot and
Bengio's initial magnitude; since Adam's steps are proportional to the learning rate, a learning rate for each layer
is the same. Behind every step real weights are brought back into their range. The graph stays in evaluation mode for
its caller; BatchNorm learns its statistics while training.

A checkpoint holds parameters, the optimizer, the random state and the epoch, and is replaced in one rename. Batches
are a function of the epoch, so a run that was stopped goes on to the same result.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InputError
from ..writing.atomic import write_bytes_atomic
from .layers import LatentConv2d, LatentLinear, latent_layers, settle_latent_weights

Batches = Iterable[tuple[Tensor, Tensor]]
LOSSES = ("cross_entropy", "squared_hinge")


def squared_hinge(logits: Tensor, labels: Tensor) -> Tensor:
    """``mean(max(0, 1 - t * y)^2)`` over all outputs, t = +1 for the right class and -1 for the others."""
    targets = 2.0 * F.one_hot(labels, logits.shape[1]) - 1
    return (1 - targets * logits).clamp(min=0).square().mean()


@dataclass(frozen=True)
class BinaryTraining:
    """Settings of one run.

    Attributes:
        epochs: passes over the data.
        lr: learning rate of the first step.
        last_lr: learning rate of the last step.
        decay: how it falls in between: by a factor a step ("exponential"), by a difference ("linear"), or as a cosine.
        loss: "cross_entropy" or "squared_hinge" (BinaryConnect's).
        scaled_steps: whether real weights take BinaryConnect's larger steps.
        weight_decay: of all parameters; 0 for BinaryConnect, whose weights are clipped instead.
        seed: of dropout and of stochastic weights.
    """

    epochs: int = 10
    lr: float = 1e-3
    last_lr: float = 1e-5
    decay: Literal["exponential", "linear", "cosine"] = "exponential"
    loss: Literal["cross_entropy", "squared_hinge"] = "cross_entropy"
    scaled_steps: bool = False
    weight_decay: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or not 0 < self.last_lr <= self.lr or self.weight_decay < 0:
            raise InputError(
                f"{self.epochs} epochs at learning rates from {self.lr} to {self.last_lr}",
                why="epochs and rates are positive, and rates fall",
                fix="use epochs=10, lr=1e-3, last_lr=1e-5",
            )
        if self.loss not in LOSSES:
            raise InputError(f"loss {self.loss!r}", why="there is no such loss", fix=f"use one of {LOSSES}")
        if self.decay not in _DECAYS:
            raise InputError(f"decay {self.decay!r}", why="there is none such", fix=f"use one of {tuple(_DECAYS)}")

    def rate(self, done: float) -> float:
        """The learning rate once a share of the run is done."""
        return _DECAYS[self.decay](self.lr, self.last_lr, min(done, 1.0))


_DECAYS: dict[str, Callable[[float, float, float], float]] = {
    "exponential": lambda first, last, done: float(first * (last / first) ** done),
    "linear": lambda first, last, done: first + (last - first) * done,
    "cosine": lambda first, last, done: last + (first - last) * (1 + math.cos(math.pi * done)) / 2,
}


@dataclass(frozen=True)
class BinaryProgress:
    """Argument of the callback after each epoch; ``loss`` is the mean loss of the epoch."""

    epoch: int
    epochs: int
    loss: float


@dataclass
class _Run:
    module: nn.Module
    config: BinaryTraining
    steps: int
    distil: nn.Module | None
    optimizer: torch.optim.Optimizer = field(init=False)

    def __post_init__(self) -> None:
        factors = step_factors(self.module) if self.config.scaled_steps else {}
        groups = [
            {"params": [p], "factor": factors.get(name, 1.0)}
            for name, p in self.module.named_parameters()
            if p.requires_grad
        ]
        self.optimizer = torch.optim.Adam(groups, lr=self.config.lr, weight_decay=self.config.weight_decay)

    def epoch(self, epoch: int, batches: Batches) -> float:
        total, images = 0.0, 0
        for number, (inputs, labels) in enumerate(batches):
            rate = self.config.rate((epoch + number / self.steps) / self.config.epochs)
            for group in self.optimizer.param_groups:
                group["lr"] = rate * group["factor"]
            loss = self._loss(inputs, labels)
            if not bool(loss.isfinite()):
                raise InputError(
                    f"training diverged in epoch {epoch + 1}, step {number + 1}",
                    why=f"the loss is {loss.item()}",
                    fix="lower lr, or look for NaN in the data",
                )
            self.optimizer.zero_grad()
            torch.autograd.backward(loss)
            self.optimizer.step()
            settle_latent_weights(self.module)
            total += loss.item() * len(labels)
            images += len(labels)
        if not images:
            raise InputError(f"epoch {epoch + 1} has no images", why="the data gave no batch", fix="give at least one")
        return total / images

    def _loss(self, inputs: Tensor, labels: Tensor) -> Tensor:
        logits = self.module(inputs)
        if self.distil is not None:
            with torch.no_grad():
                taught = self.distil(inputs).softmax(1)
            distance: Tensor = -(taught * logits.log_softmax(1)).sum(1).mean()
            return distance
        return squared_hinge(logits, labels) if self.config.loss == "squared_hinge" else F.cross_entropy(logits, labels)


def train_binary(
    module: nn.Module,
    batches_of_epoch: Callable[[int], Batches],
    config: BinaryTraining | None = None,
    on_epoch: Callable[[BinaryProgress], object] | None = None,
    *,
    steps_per_epoch: int,
    teacher: nn.Module | None = None,
    checkpoint: str | Path | None = None,
) -> nn.Module:
    """Train a module in place and return it in eval mode. Without binary layers it is an ordinary training.

    Args:
        module: a graph of :func:`fxpasses.binary.binarize`, or any module.
        batches_of_epoch: inputs ``[B, ...]`` and labels ``[B]`` of an epoch; the same call gives the same batches.
        steps_per_epoch: how many batches that are; the learning rate falls at every one.
        teacher: learn from its outputs instead of the labels (ReActNet's distillation).
        checkpoint: a file that is written after every epoch, and that the run goes on from where it exists.

    Raises:
        InputError: an epoch is empty, the loss is no longer finite, or the checkpoint is of another run.
    """
    config = config or BinaryTraining()
    run = _Run(module, config, steps_per_epoch, teacher)
    settle_latent_weights(module)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        first = 0 if checkpoint is None else _resume(run, Path(checkpoint))
        _set_training(module, True)
        try:
            for epoch in range(first, config.epochs):
                loss = run.epoch(epoch, batches_of_epoch(epoch))
                if checkpoint is not None:
                    _write(run, Path(checkpoint), epoch + 1)
                if on_epoch is not None:
                    on_epoch(BinaryProgress(epoch + 1, config.epochs, loss))
        finally:
            _set_training(module, False)
    return module


def _set_training(module: nn.Module, training: bool) -> None:
    for part in module.modules():
        part.training = training


def step_factors(module: nn.Module) -> dict[str, float]:
    """Factor by which BinaryConnect enlarges the steps of each real weight, by the parameter's name."""
    factors = {}
    for path, layer in latent_layers(module).items():
        fan_in, fan_out = fans(layer)
        factors[f"{path}.weight"] = math.sqrt((fan_in + fan_out) / 1.5)
    return factors


def fans(layer: LatentConv2d | LatentLinear) -> tuple[int, int]:
    """Inputs of one output, and outputs of one input."""
    receptive = math.prod(layer.weight.shape[2:])
    return layer.weight.shape[1] * receptive, layer.weight.shape[0] * receptive


def _write(run: _Run, path: Path, done: int) -> None:
    state = {
        "config": asdict(run.config),
        "epochs_done": done,
        "module": run.module.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "random": torch.get_rng_state(),
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)  # to a file it aborts the process where the disk is full
    try:
        write_bytes_atomic(path, buffer.getbuffer())
    except InputError as error:
        raise InputError(
            f"cannot write the checkpoint {path}",
            why=error.why,
            fix="make room or the folder, and run again: it goes on from the last checkpoint written",
        ) from error


def _resume(run: _Run, path: Path) -> int:
    """Restore the checkpoint and return the number of epochs that it has done; 0 if there is no checkpoint."""
    if not path.exists():
        return 0
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True)
        if state["config"] != asdict(run.config):
            raise InputError(
                f"{path} is of another run",
                why=f"it was trained with {state['config']}",
                fix="name another checkpoint, or train with those settings",
            )
        run.module.load_state_dict(state["module"])
        run.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        return int(state["epochs_done"])
    except InputError:
        raise
    except Exception as error:  # torch raises whatever a damaged file makes it meet
        raise InputError(
            f"{path} is no checkpoint of this model", why=str(error).splitlines()[0], fix="delete it, or name another"
        ) from error
