"""How a training run goes: length, rates, phases. Checked when it is made."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...errors import InputError


@dataclass(frozen=True)
class RunSettings:
    """One run of :func:`fxpasses.train_quantized`.

    Attributes:
        epochs: over the data; a part of one will do.
        lr: of weights, at the start of its cosine (SGD with Nesterov's momentum).
        weight_decay: of weights; steps, biases and BatchNorms have none. 1e-4 suits 4 bits and more, less is for fewer.
        momentum: of SGD.
        distillation: share of the loss that is the distance to the float model's logits; 0 is labels alone.
        temperature: of the distillation.
        dampening: how much weights far from their integers cost at the end of the open phase; None: 1e-2 for depthwise
            layers of at most 4 bits, and nothing for others.
        hold_at: share of the open phase after which BatchNorm statistics and observed ranges stand.
        frozen_share: share of all steps in the last phase, on the int8 graph itself.
        frozen_lr: of its weights, in steps of their scales, with Adam.
        ema: decay of the average of parameters that is frozen in their place; 0 for none.
        seed: of everything random that is not the data's.
    """

    epochs: float = 5.0
    lr: float = 0.01
    weight_decay: float = 1e-4
    momentum: float = 0.9
    distillation: float = 0.7
    temperature: float = 4.0
    dampening: float | None = None
    hold_at: float = 0.7
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
    """Raises :class:`InputError` for a number that is not finite, or not above zero."""
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"`{name}={value}`", why="it is a positive number", fix=f"use the default, {default}")


def _default(name: str) -> object:
    return RunSettings.__dataclass_fields__[name].default


@dataclass(frozen=True)
class Schedule:
    """The same in steps.

    Attributes:
        total: of the run.
        opened: of the open phase, before the frozen one.
        held: from which on BatchNorm statistics stand.
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
        """The factor of the learning rate: a cosine from 1 to 0 over each phase."""
        begin, end = (0, self.opened) if step < self.opened else (self.opened, self.total)
        return (1 + math.cos(math.pi * (step - begin) / max(1, end - begin))) / 2
