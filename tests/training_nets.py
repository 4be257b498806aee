"""A small net and its data for tests of training: BatchNorms, a residual sum, a depthwise layer, a linear one."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.graph.pass_runner import copy_graph
from fxpasses.models.training.settle import settle
from fxpasses.quantization.config import QuantConfig
from fxpasses.training import RunSettings, TrainingConfig

X86 = QuantConfig(target="x86", equalization=False, pixel_grid=False, narrow_ranges=False)
"""Settings without the steps whose search would take longer than everything else with so small a net."""
FEW_BITS = TrainingConfig(quant=X86, weight_bits=4, activation_bits=3)
BYTES = TrainingConfig(quant=X86)
SHORT = RunSettings(epochs=2, frozen_share=0.4, lr=0.02, distillation=0.5)
"""Eight steps of four batches: five open, three frozen."""


class Small(nn.Module):
    """Net from ``[B, 3, 9, 7]`` to logits ``[B, 4]``."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm1 = nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.second, self.norm2 = nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.depthwise, self.norm3 = nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False), nn.BatchNorm2d(6)
        self.wide, self.norm4 = nn.Conv2d(6, 10, 1, bias=False), nn.BatchNorm2d(10)
        self.last = nn.Linear(10, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm1(self.first(x)))
        x = F.relu(self.norm2(self.second(x)) + x)
        x = F.relu6(self.norm3(self.depthwise(x)))
        x = self.norm4(self.wide(x))
        logits: Tensor = self.last(x.mean((2, 3)))
        return logits


def images(seed: int, count: int = 8) -> Tensor:
    return torch.randn(count, 3, 9, 7, generator=torch.Generator().manual_seed(seed))


def labelled(batches: int = 4) -> list[tuple[Tensor, Tensor]]:
    """Batches with the float net's classes as labels, one in eight wrong."""
    found = []
    for seed in range(batches):
        x = images(seed)
        with torch.no_grad():
            labels = small()(x).argmax(1)
        labels[seed % 8] = (labels[seed % 8] + 1) % 4
        found.append((x, labels))
    return found


def calibration() -> list[Tensor]:
    return [images(seed) for seed in range(100, 104)]


@cache
def small() -> Small:
    """The small net; not to be changed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        net = Small()
    return settle(net, 3, (images(50, 32),))


@cache
def float_graph() -> fx.GraphModule:
    """Captured FLOAT graph; not to be changed."""
    return fxpasses.capture(small(), images(0, 2))


@cache
def _prepared(config: TrainingConfig) -> fx.GraphModule:
    return fxpasses.prepare_training(float_graph(), calibration(), config)


def prepared(config: TrainingConfig = FEW_BITS) -> fx.GraphModule:
    """An open TRAINING graph that a test may change."""
    return copy_graph(_prepared(config))


@cache
def _frozen(config: TrainingConfig) -> fx.GraphModule:
    return fxpasses.freeze_training(_prepared(config), calibration())


def frozen(config: TrainingConfig = FEW_BITS) -> fx.GraphModule:
    """A frozen TRAINING graph."""
    return copy_graph(_frozen(config))
