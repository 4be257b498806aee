"""A layer on integers that learns: it computes the result of a QUANTIZED graph's layer, with gradients.

Weights and biases are parameters in units of their scales and are rounded whenever they are used. Sums are of whole
numbers held in float32, exact below 2**24, so that the order of summation does not matter. Each sum is multiplied once
by ``s_x * s_w``, and the next node rounds it as the integer reference does.

Source of the straight-through gradient: Bengio et al. 2013, arXiv:1308.3432.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ...quantization.int8.weights import LARGEST_BIAS
from ...quantization.numbers.qparams import IntType, QParams

ROOM = 0.45
"""Largest initial distance of a weight beyond the ends of its grid, in steps, so that it can return."""


class _Round(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, low: float, high: float) -> Tensor:
        return x.round().clamp_(low, high)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient, None, None


def rounded(x: Tensor, low: float = -math.inf, high: float = math.inf) -> Tensor:
    """Nearest integers from ``low`` to ``high``; the gradient is that of the identity, also outside of this range."""
    y: Tensor = _Round.apply(x, low, high)
    return y


def quantize_through(x: Tensor, scale: float, zero_point: int, dtype: torch.dtype) -> Tensor:
    """:func:`fxpasses.quantization.numbers.ops.quantize` with float integers as result, and the gradient of a clamp."""
    limits = torch.iinfo(dtype)
    return rounded(x / scale).add(zero_point).clamp(limits.min, limits.max)


def dequantize_through(q: Tensor, scale: float, zero_point: int) -> Tensor:
    """:func:`fxpasses.quantization.numbers.ops.dequantize`, also for float integers."""
    return q.to(torch.float32).sub(zero_point).mul(scale)


class FrozenLayer(nn.Module):
    """A layer with fixed scales; its input is integers, its output real numbers.

    Args:
        function: the functional layer, and ``settings`` its keywords.
        weight: values before rounding, in steps of its scale: float32, of the weight's shape.
        bias: values before rounding, in steps of its scale: ``[C_out]``, or None.
        scale: scale of the weight, float32, one for each index of ``axis``.
        grid: grid of the weight's integers.
        x: quantization parameters of the input.
        channels_last: whether output channels are the last dimension, as in a linear layer, and not dimension 1.
    """

    scale: Tensor
    step: Tensor

    def __init__(
        self,
        function: Callable[..., Tensor],
        settings: dict[str, Any],
        weight: Tensor,
        bias: Tensor | None,
        scale: Tensor,
        grid: IntType,
        x: QParams,
        *,
        channels_last: bool,
    ) -> None:
        super().__init__()
        self.function, self.settings, self.grid, self.x = function, settings, grid, x
        self.channels_last = channels_last
        self.weight = nn.Parameter(weight.clamp(grid.low - ROOM, grid.high + ROOM))
        self.bias = None if bias is None else nn.Parameter(bias)
        self.register_buffer("step", torch.tensor(x.scale, dtype=torch.float32) * scale)

    def forward(self, q: Tensor) -> Tensor:
        bias = None if self.bias is None else rounded(self.bias, -LARGEST_BIAS, LARGEST_BIAS)
        weight = rounded(self.weight, self.grid.low, self.grid.high)
        with torch.backends.nnpack.flags(enabled=False):  # its Winograd transform is not exact
            sums = self.function(q.to(torch.float32) - self.x.zero_point, weight, bias, **self.settings)
        shape = [1] * sums.dim()
        shape[-1 if self.channels_last else 1] = -1
        return sums * self.step.reshape(shape)

    def off_grid(self) -> Tensor:
        """Distance of each weight from its integer, in steps; with gradients."""
        v = self.weight.clamp(self.grid.low, self.grid.high)
        return v - v.detach().round()

    def integer_weight(self) -> Tensor:
        """The rounded weight as int8."""
        return self.weight.detach().round().clamp_(self.grid.low, self.grid.high).to(torch.int8)

    def integer_bias(self) -> Tensor | None:
        """The rounded bias as int32; None without a bias."""
        if self.bias is None:
            return None
        return self.bias.detach().round().clamp_(-LARGEST_BIAS, LARGEST_BIAS).to(torch.int32)
