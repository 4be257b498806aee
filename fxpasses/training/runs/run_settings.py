"""Settings of a training run: length, rates, phases. They are checked when they are made."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...errors import InputError


@dataclass(frozen=True)
class RunSettings:
    """Settings of one run of :func:`fxpasses.train_quantized`.

    Attributes:
        epochs: number of epochs; a fraction is allowed.
        lr: learning rate of weights, at the start of its cosine (SGD with Nesterov's momentum).
        weight_decay: decay of weights; steps, biases and BatchNorms have none. 1e-4 suits 4 bits and more; use less for
            fewer.
        momentum: momentum of SGD.
        distillation: share of the loss for the distance to the float model's logits; 0 uses labels alone.
        temperature: temperature of the distillation.
        dampening: factor of the loss of weights far from their integers, at the end of the open phase; None: 1e-2 for
            depthwise layers of at most 4 bits, and nothing for others.
        hold_at: share of the open phase after which BatchNorm statistics and observed ranges are fixed. Fixed while the
            learning rate is still high, a net far from trained does not recover.
        frozen_share: share of all steps in the last phase, on the int8 graph itself.
        frozen_lr: learning rate of its weights, in steps of their scales, with Adam; less below 5 bits.
        ema: decay of the average of parameters that is frozen instead of them; 0 for none.
        seed: seed of all random choices except those of the data.
    """

    epochs: float = 5.0
    lr: float = 0.01
    weight_decay: float = 1e-4
    momentum: float = 0.9
    distillation: float = 0.7
    temperature: float = 4.0
    dampening: float | None = None
    hold_at: float = 0.9
    frozen_share: float = 0.2
    frozen_lr: float = 0.003
    ema: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "lr", "temperature", "frozen_lr"):
            check_positive(name, getattr(self, name), _default(name))
        for name in ("weight_decay", "dampening"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise InputError(
                    f"`{name}={value}`", why="it is not negative", fix=f"use the default, {_default(name)}"
                )
        for name in ("momentum", "ema"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(
                    f"`{name}={getattr(self, name)}`", why="it lies from 0 to below 1", fix="use 0 for none"
                )
        for name in ("distillation", "hold_at", "frozen_share"):
            if not 0 <= getattr(self, name) <= 1:
                fix = f"use the default, {_default(name)}"
                raise InputError(f"`{name}={getattr(self, name)}`", why="it is a share, from 0 to 1", fix=fix)


def check_positive(name: str, value: float, default: object) -> None:
    """Raise :class:`InputError` for a number that is not finite, or not above zero."""
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"`{name}={value}`", why="it is a positive number", fix=f"use the default, {default}")


def _default(name: str) -> object:
    return RunSettings.__dataclass_fields__[name].default


@dataclass(frozen=True)
class Schedule:
    """The phases of a run, counted in steps.

    Attributes:
        total: number of steps of the run.
        opened: number of steps of the open phase, before the frozen one.
        held: step from which on BatchNorm statistics are fixed.
    """

    total: int
    opened: int
    held: int

    @classmethod
    def of(cls, settings: RunSettings, steps_per_epoch: int) -> Schedule:
        total = max(1, round(settings.epochs * steps_per_epoch))
        opened = total - round(settings.frozen_share * total)
        return cls(total, opened, round(settings.hold_at * opened))

    def share_left(self, step: int) -> float:
        """Factor of the learning rate: a cosine from 1 to 0 over each phase."""
        begin, end = (0, self.opened) if step < self.opened else (self.opened, self.total)
        return (1 + math.cos(math.pi * (step - begin) / max(1, end - begin))) / 2
