"""Quantization by hand: scales and zero points of any number of bits, rounding, and a whole net made of integers.

Symmetric:  scale = max|x| / (2^(bits-1) - 1),  zero point 0,                      -2^(bits-1) <= q <= 2^(bits-1) - 1
Asymmetric: scale = (max - min) / (2^bits - 1), zero point = round(-min / scale),  0 <= q <= 2^bits - 1

Weights are symmetric with one scale for a tensor, activations asymmetric, biases int32 at the scale of the sums.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from by_hand.integer_chain import Flatten, Grid, IntegerNet, Layer, MaxPool, Requantization, Step

PERCENTILE = 0.999
"""Percentile of activations beyond which values are clipped, so that one outlier does not determine the scale."""
MakeRequantization = Callable[[float, Grid], Requantization]


def rounded(x: Tensor, scale: float, zero: int) -> Tensor:
    """Compute ``round(x / scale) + zero``, ties to even, not clipped."""
    return torch.round(x / scale) + zero


def symmetric_grid(low: float, high: float, bits: int) -> Grid:
    """Symmetric grid for values between ``low`` and ``high``, with zero in the middle."""
    top = 2 ** (bits - 1) - 1
    return Grid(_float32(max(abs(low), abs(high)) / top) or 1.0, 0, -top - 1, top)


def asymmetric_grid(low: float, high: float, bits: int) -> Grid:
    """Asymmetric grid for values between ``low`` and ``high``; zero has its own integer."""
    top = 2**bits - 1
    scale = _float32((high - low) / top) or 1.0
    return Grid(scale, min(max(round(-low / scale), 0), top), 0, top)


def clipped_integers(x: Tensor, grid: Grid) -> Tensor:
    """The integers of ``x`` on a grid, as float32."""
    return rounded(x, grid.scale, grid.zero).clamp(grid.low, grid.high)


def on_grid(x: Tensor, grid: Grid) -> Tensor:
    """Real numbers of the integers of ``x``."""
    return (clipped_integers(x, grid) - grid.zero) * grid.scale


def _float32(value: float) -> float:
    return float(np.float32(value))


@dataclass(frozen=True)
class Link:
    """One link of a float chain: a layer (with or without a ReLU after it), a max pool of 2x2, or a flatten."""

    name: str
    layer: nn.Conv2d | nn.Linear | None = None
    relu: bool = False
    pools: bool = False

    def __call__(self, x: Tensor) -> Tensor:
        if self.pools:
            return F.max_pool2d(x, 2)
        if self.layer is None:
            return x.flatten(1)
        y: Tensor = self.layer(x)
        return F.relu(y) if self.relu else y


@dataclass(frozen=True)
class Parts:
    """Parts of a net that are rounded to ``bits``: those set to True; the others are float."""

    bits: int = 8
    weights: bool = True
    activations: bool = True
    biases: bool = True


Ranges = dict[str, tuple[float, float]]
"""Ranges of the input (``"input"``) and of each layer's output, by its name."""


@torch.no_grad()
def ranges_of(chain: Sequence[Link], inputs: Tensor, percentile: float = PERCENTILE) -> Ranges:
    """Measure the range of each tensor on some inputs, from percentile to percentile, widened to hold zero."""
    found = {"input": _range(inputs, percentile)}
    for link in chain:
        inputs = link(inputs)
        if link.layer is not None:
            found[link.name] = _range(inputs, percentile)
    return found


def _range(x: Tensor, percentile: float) -> tuple[float, float]:
    ordered = x.flatten().sort().values
    last = len(ordered) - 1
    high, low = ordered[round(last * percentile)].item(), ordered[round(last * (1 - percentile))].item()
    return min(low, 0.0), max(high, 0.0)


@torch.no_grad()
def simulated(chain: Sequence[Link], ranges: Ranges, x: Tensor, parts: Parts) -> Tensor:
    """Logits with the chosen parts rounded, computed in float, to see the loss of each step of the quantization."""
    x_grid = asymmetric_grid(*ranges["input"], parts.bits)
    x = on_grid(x, x_grid) if parts.activations else x
    for link in chain:
        if link.layer is None:
            x = link(x)
            continue
        weight, bias = link.layer.weight, link.layer.bias
        w_grid = symmetric_grid(weight.min().item(), weight.max().item(), parts.bits)
        if parts.biases and bias is not None:
            step = x_grid.scale * w_grid.scale
            bias = torch.round(bias / step) * step
        x = _layer(link.layer, x, on_grid(weight, w_grid) if parts.weights else weight, bias)
        x = F.relu(x) if link.relu else x
        x_grid = asymmetric_grid(*ranges[link.name], parts.bits)
        if parts.activations and link is not chain[-1]:
            x = on_grid(x, x_grid)
    return x


def _layer(layer: nn.Conv2d | nn.Linear, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if isinstance(layer, nn.Linear):
        return F.linear(x, weight, bias)
    return F.conv2d(x, weight, bias, layer.stride, layer.padding)


def integer_net(chain: Sequence[Link], ranges: Ranges, requantization: MakeRequantization, bits: int = 8) -> IntegerNet:
    """Convert the chain to integers alone; a ReLU clips its output's grid at zero."""
    x = first = asymmetric_grid(*ranges["input"], bits)
    steps: list[Step] = []
    for link in chain:
        if link.layer is None:
            steps.append(MaxPool(link.name, 2) if link.pools else Flatten(link.name))
            continue
        y = asymmetric_grid(*ranges[link.name], bits)
        y = Grid(y.scale, y.zero, max(y.low, y.zero), y.high) if link.relu else y
        steps.append(_integer_layer(link, x, None if link is chain[-1] else y, requantization, bits))
        x = y
    return IntegerNet(first, tuple(steps))


def _integer_layer(link: Link, x: Grid, y: Grid | None, requantization: MakeRequantization, bits: int) -> Layer:
    layer = link.layer
    assert layer is not None
    weight = layer.weight.detach()
    grid = symmetric_grid(weight.min().item(), weight.max().item(), bits)
    step = x.scale * grid.scale
    bias = torch.zeros(len(weight)) if layer.bias is None else layer.bias.detach()
    is_conv = isinstance(layer, nn.Conv2d)
    return Layer(
        link.name,
        clipped_integers(weight, grid).numpy().astype(np.int32),
        torch.round(bias.double() / step).numpy().astype(np.int32),
        x,
        None if y is None else requantization(step / y.scale, y),
        np.full(len(weight), step, np.float32) if y is None else None,
        _pair(layer.stride) if is_conv else (1, 1),
        _pair(layer.padding) if is_conv else (0, 0),
    )


def _pair(value: object) -> tuple[int, int]:
    assert isinstance(value, tuple) and len(value) == 2
    return int(value[0]), int(value[1])
