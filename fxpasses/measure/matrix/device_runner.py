"""A module on another device of this machine, timed from a tensor on the CPU to a tensor on the CPU."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from fxpasses.errors import InputError
from fxpasses.signature.outputs import tensors_of

from ..runners import TORCH, first_tensor
from .variants import CUDA


@dataclass(frozen=True)
class DeviceRunner:
    """An ``nn.Module`` in eval mode on a device; copies to it and back are part of a call, which ends it."""

    module: nn.Module = field(repr=False)
    precision: str
    name: str
    device: str = CUDA
    threads: int = 1
    runtime: str = TORCH

    def __call__(self, *inputs: Tensor) -> Tensor:
        with torch.inference_mode():
            return first_tensor(self.module(*self._there(inputs)), self.name).cpu()

    def outputs(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        with torch.inference_mode():
            found = tensors_of(self.module(*self._there(inputs)))
        return tuple(x.cpu() for x in found)

    def at_threads(self, threads: int) -> DeviceRunner:
        return self

    def _there(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        moved: tuple[Tensor, ...] = pytree.tree_map(lambda x: x.to(self.device) if isinstance(x, Tensor) else x, inputs)
        return moved


def require_device(device: str) -> None:
    """Raise InputError for a device that this machine does not have."""
    if device == CUDA and not torch.cuda.is_available():
        raise InputError(
            "device cuda",
            why="torch sees no GPU here",
            fix="leave it out, or run there and import its matrix.json: `imported`",
        )
