"""Groups of channels made by hand, and the real effect of rounding on them."""

from __future__ import annotations

import torch
from torch import Tensor

from fxpasses.quantization.repairs.channel_noise import ChannelGroup, ChannelRanges, Reader

ONE = torch.tensor([1.0], dtype=torch.float64)


def ranges_of(x: Tensor) -> ChannelRanges:
    """Ranges of the channels of ``[samples, channels]``."""
    x = x.double()
    return ChannelRanges(x.amin(0), x.amax(0), x.square().mean(0))


def group_of(x: Tensor, weight: Tensor, bound: float = torch.inf) -> ChannelGroup:
    """Group of one tensor that one linear layer ``[rows, channels]`` reads."""
    channels = x.shape[1]
    group = ChannelGroup(
        labels=list(range(channels)),
        bound=torch.full((channels,), bound, dtype=torch.float64),
        fixed=torch.zeros(channels, dtype=torch.bool),
        name="made",
    )
    ranges, w = ranges_of(x), weight.double()
    group.tensors.append((torch.arange(channels), ranges))
    at = torch.arange(channels).expand(len(w), -1)
    group.readers.append(Reader(ONE, at, w.abs(), w.square(), ranges.energy[at], 1, 127))
    return group


def measured_noise(x: Tensor, weight: Tensor, d: Tensor) -> float:
    """Noise of real rounding: uint8 per tensor, int8 per row; relative to the output's power."""
    x, weight, d = x.double(), weight.double(), d.double()
    even, columns = x / d, weight * d
    low, high = min(0.0, float(even.min())), max(0.0, float(even.max()))
    step = (high - low) / 255
    rows = columns.abs().amax(1, keepdim=True) / 127
    found = (torch.round(even / step) * step) @ (torch.round(columns / rows) * rows).T
    expected = x @ weight.T
    return float((found - expected).square().sum() / expected.square().sum())
