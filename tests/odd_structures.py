"""Nets with unusual batches, inputs or outputs, and the dimensions that are free."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

B0, B1, FIXED = {0: "batch"}, {1: "batch"}, dict[int, str]()


@dataclass(frozen=True)
class Structure:
    """A net, its inputs for ``n`` samples, and the free dimensions of each input tensor."""

    name: str
    build: Callable[[], nn.Module]
    make: Callable[[int], Any]
    free: list[dict[int, str]]
    samples: int = 2
    other: int = 3
    quick: bool = False
    dynamic: dict[str, dict[int, str]] = field(default_factory=dict)


def conv() -> nn.Module:
    return nn.Conv2d(3, 4, 3, padding=1)


def images(n: int) -> Tensor:
    return torch.rand(n, 3, 6, 5)


def rows(n: int) -> Tensor:
    return torch.randn(n, 6)


def tokens(n: int) -> Tensor:
    return torch.randn(n, 4, 6)


def structure(
    name: str, build: Callable[[], nn.Module], make: Callable[[int], Any], *free: dict[int, str], **more: Any
) -> Structure:
    """A structure whose inputs have these free dimensions."""
    return Structure(name, build, make, list(free), **more)


def net(forward: Callable[..., Any], **layers: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """A class with these layers and this forward; its parameters have the names of the forward's."""

    def init(self: nn.Module) -> None:
        nn.Module.__init__(self)
        for name, make in layers.items():
            setattr(self, name, make())

    return type("Net", (nn.Module,), {"__init__": init, "forward": forward})


def fc() -> nn.Module:
    return nn.Linear(6, 5)
