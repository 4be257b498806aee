"""Conversion of floats to bytes on x86, in the memory layout that convolutions need."""

from __future__ import annotations

import torch
from torch import Tensor, fx

from fxpasses.quantization.int8.int8_calls import qparams_of
from fxpasses.quantization.numbers import ops

from .. import quint8
from ..kernel import Kernel

CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
_BYTE = 256
_PACKED_CHANNELS = 3
"""Number of image channels for packing: with a fourth they are the four bytes of an integer."""


def entrance(node: fx.Node) -> Kernel:
    """The kernel for a ``quantize`` node with float input."""
    return PixelEntrance(node) if node.all_input_nodes[0].target is ops.pixels else Entrance(node)


class Entrance(Kernel):
    """Kernel that quantizes float32 to uint8."""

    def __init__(self, node: fx.Node) -> None:
        super().__init__()
        self.q = qparams_of(node)
        self.on_quint8 = quint8.is_available() and self.q.grid.dtype is torch.uint8
        with quint8.building():
            pass

    def forward(self, x: Tensor) -> Tensor:
        # true division, as ONNX specifies: multiplying by 1/scale, as ATen's quantize does, rounds differently
        steps = torch.div(x, self.q.scale)
        if steps.dim() in CHANNELS_LAST:  # floats copy faster than bytes
            steps = steps.contiguous(memory_format=CHANNELS_LAST[steps.dim()])
        if self.on_quint8:
            quantized = torch.quantize_per_tensor(steps, 1.0, self.q.zero_point, torch.quint8)
            return quint8.on_grid(quantized, self.q.scale, self.q.zero_point)
        grid = self.q.grid
        return steps.round_().add_(self.q.zero_point).clamp_(grid.low, grid.high).to(grid.dtype)


class PixelEntrance(Kernel):
    """Kernel that converts images ``[N, C, H, W]`` to integer pixels, uint8 ``[N, channels, H, W]``, in one step.

    It replaces ``pixels`` and ``quantize``. The bytes of three channels and of the constant fourth one form an integer
    for each position: a sum of whole numbers below 2**24, exact in float32, to which the fourth byte and all zero
    points are added as integers. So the result is already channels last. With constant channels between those of the
    image, eight bytes form two integers.
    """

    def __init__(self, node: fx.Node) -> None:
        super().__init__()
        _, factor, offset, rest, channels, *spread = node.all_input_nodes[0].args
        self.apart = 2 if spread == [True] else 1
        q = qparams_of(node)
        self.factor, self.offset = (torch.tensor(v).reshape(1, -1, 1, 1) for v in (factor, offset))
        self.zero_point, self.low, self.high = q.zero_point, q.grid.low, q.grid.high
        assert isinstance(rest, float) and isinstance(channels, int) and q.scale == 1.0
        self.channels = channels
        self.rest = int(rest) + q.zero_point
        self.last = (self.rest << 24) - (1 << 32 if self.rest >= 128 else 0)
        self.last += self.zero_point * (1 + _BYTE + _BYTE**2)
        above = (self.rest << 24) - (1 << 32 if self.rest >= 128 else 0)
        pairs = [above + (self.rest << 8), above + (self.rest << 16) + (self.rest << 8)]
        self.constants = torch.tensor(pairs, dtype=torch.int32)

    def source(self, node: fx.Node) -> fx.Node:
        return node.all_input_nodes[0].all_input_nodes[0]

    def forward(self, x: Tensor) -> Tensor:
        steps = x.mul(self.factor).add_(self.offset).round_()
        steps.clamp_(self.low - self.zero_point, self.high - self.zero_point)
        n, c, h, w = x.shape
        packs = c == _PACKED_CHANNELS and x.numel() > quint8.TINY and not quint8.is_traced()
        if packs and self.channels == 2 * (c + 1) and self.apart == 2:
            return self._two_integers(steps)
        if packs and self.channels == c + 1:
            first, second, third = steps.unbind(1)
            whole = torch.add(first, second, alpha=_BYTE).add_(third, alpha=_BYTE**2).to(torch.int32).add_(self.last)
            return whole.contiguous().view(torch.uint8).view(n, h, w, self.channels).permute(0, 3, 1, 2)
        made = torch.empty((n, self.channels, h, w), dtype=torch.uint8, memory_format=torch.channels_last)
        made.fill_(self.rest)
        made[:, : c * self.apart : self.apart] = steps.add_(self.zero_point)
        return made

    def _two_integers(self, steps: Tensor) -> Tensor:
        """Bytes ``R, K, G, K`` and ``B, K, K, K`` for each position."""
        n, _, h, w = steps.shape
        first, second, third = steps.add_(self.zero_point).unbind(1)
        halves = torch.empty((n, h, w, 2), dtype=torch.int32)
        halves[..., 0] = torch.add(first, second, alpha=_BYTE**2)
        halves[..., 1] = third
        halves.add_(self.constants)
        return halves.view(torch.uint8).view(n, h, w, self.channels).permute(0, 3, 1, 2)
