"""The form of a tiny net: a few layers written as one expression, and inputs of odd sizes."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fxpasses.models.training.settle import settle

BATCH = 2
CHANNELS, HEIGHT, WIDTH = 5, 9, 7
IMAGE = (BATCH, CHANNELS, HEIGHT, WIDTH)


@dataclass(frozen=True)
class TinyNet:
    """A net of a few layers. ``build`` gives the same fresh, settled module in eval mode at every call.

    ``leaves`` names the module types that must not be traced into, where the net cannot be captured otherwise.
    """

    name: str
    build: Callable[[], nn.Module]
    example_inputs: Callable[[], tuple[Tensor, ...]]
    leaves: tuple[type[nn.Module], ...] = ()


class _Parts(nn.Module):
    def __init__(self, **parts: nn.Module | Tensor) -> None:
        super().__init__()
        for name, part in parts.items():
            if isinstance(part, (nn.Module, nn.Parameter)):
                setattr(self, name, part)
            else:
                self.register_buffer(name, part)


class OneInput(_Parts):
    """Net of ``body(self, x)`` with the named parts as attributes; plain tensors become buffers."""

    def __init__(self, body: Callable[[Any, Tensor], object], **parts: nn.Module | Tensor) -> None:
        super().__init__(**parts)
        self.body = body

    def forward(self, x: Tensor) -> object:
        return self.body(self, x)


class TwoInputs(_Parts):
    """Net of ``body(self, x, y)``."""

    def __init__(self, body: Callable[[Any, Tensor, Tensor], object], **parts: nn.Module | Tensor) -> None:
        super().__init__(**parts)
        self.body = body

    def forward(self, x: Tensor, y: Tensor) -> object:
        return self.body(self, x, y)


def tiny(
    name: str,
    module: Callable[[], nn.Module],
    *shapes: tuple[int, ...],
    inputs: Callable[[], tuple[Tensor, ...]] | None = None,
    leaves: tuple[type[nn.Module], ...] = (),
    afterwards: Callable[[nn.Module], object] | None = None,
) -> TinyNet:
    """Make a net with seeded weights and, by default, normal inputs of the shapes (one ``IMAGE``).

    ``afterwards`` changes the settled module, for changes that settling would undo.
    """
    seed = zlib.crc32(name.encode())

    def build() -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = settle(module(), seed)
            if afterwards is not None:
                afterwards(net)
            return net

    def normal_inputs() -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(seed)
        return tuple(torch.randn(shape, generator=generator) for shape in shapes or (IMAGE,))

    return TinyNet(name, build, inputs or normal_inputs, leaves)


def by_name(nets: Iterable[TinyNet]) -> dict[str, TinyNet]:
    """Nets by their names, which must be distinct."""
    table: dict[str, TinyNet] = {}
    for net in nets:
        assert net.name not in table, f"two tiny nets are called {net.name}"
        table[net.name] = net
    return table
