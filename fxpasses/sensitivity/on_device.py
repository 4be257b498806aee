"""Models of a measurement on a GPU: copies there, called with inputs on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import fx, nn

from fxpasses.export.torch_int8 import to_torch
from fxpasses.graph.devices import on_device, without_tf32
from fxpasses.graph.pass_runner import copy_graph

CPU = torch.device("cpu")


@dataclass(frozen=True)
class OnDevice:
    """A module on a device as a function of inputs on the CPU; its outputs stay on the device."""

    module: nn.Module = field(repr=False)
    device: torch.device

    def __call__(self, *inputs: object) -> object:
        with without_tf32(self.device):
            return self.module(*on_device(inputs, self.device))


def is_elsewhere(device: torch.device) -> bool:
    return device.type != "cpu"


def placed(gm: fx.GraphModule, device: torch.device) -> Callable[..., object]:
    """A graph on a device: itself on the CPU, else a copy."""
    return OnDevice(copy_graph(gm).to(device), device) if is_elsewhere(device) else gm


def lowered(int8: fx.GraphModule, device: torch.device) -> Callable[..., object]:
    """A QUANTIZED graph as int8 kernels of a device."""
    return OnDevice(to_torch(int8, device=device), device) if is_elsewhere(device) else to_torch(int8)
