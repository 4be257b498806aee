"""A layer whose weight is rounded whenever it is used, with the BatchNorm behind it that will be folded into it.

The step of each output channel is a parameter. BatchNorm multiplies a channel by ``gamma / sigma``; once folded, the
integers stay and the step is multiplied by it. A negative ``gamma`` would turn the grid around, which reaches one
further down than up, so where it is negative the weight is rounded with its sign changed.

Weights: ``[C_out, C_in / groups, *kernel]``, or ``[C_out, C_in]``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...graph.edit import with_parameters
from ...quantization.numbers.qparams import IntType
from .fake_quantize import positive, quantized_weight

Layer = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear
LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
Norm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d
_NORM_OF: dict[type[nn.Module], type[Norm]] = {
    nn.Conv1d: nn.BatchNorm1d,
    nn.Conv2d: nn.BatchNorm2d,
    nn.Conv3d: nn.BatchNorm3d,
    nn.Linear: nn.BatchNorm1d,
}
_CONVOLUTIONS: dict[type[nn.Module], Callable[..., Tensor]] = {
    nn.Conv1d: F.conv1d,
    nn.Conv2d: F.conv2d,
    nn.Conv3d: F.conv3d,
}
_SETTINGS = ("stride", "padding", "dilation", "groups")


@dataclass(frozen=True)
class Folded:
    """What a layer is once its BatchNorm is folded: before rounding, with the step of each output channel."""

    layer: Layer
    step: Tensor


class TrainedLayer(nn.Module):
    """A convolution or linear layer in training. While ``norm_held`` is set, its BatchNorm is as in eval mode.

    Args:
        layer: gives weight, bias and settings; it is not changed.
        grid: of the weight's integers.
        step: where the steps start, ``[C_out]``.
        norm: BatchNorm behind it, or None.
    """

    norm_held: Tensor

    def __init__(self, layer: Layer, grid: IntType, step: Tensor, norm: Norm | None = None) -> None:
        super().__init__()
        self.kind, self.grid = type(layer), grid
        self.settings: dict[str, Any] = {n: getattr(layer, n) for n in _SETTINGS if hasattr(layer, n)}
        self.plain = with_parameters(layer, weight=None, bias=None)
        self.weight = nn.Parameter(layer.weight.detach().clone())
        self.bias = None if layer.bias is None else nn.Parameter(layer.bias.detach().clone())
        self.step = nn.Parameter(step.detach().clone())
        self.norm = norm
        self.register_buffer("norm_held", torch.tensor(False))

    def train(self, mode: bool = True) -> TrainedLayer:
        """As ever, but a held BatchNorm stays in eval mode."""
        super().train(mode)
        if self.norm is not None and bool(self.norm_held):
            self.norm.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        weight = self.rounded_weight()
        if self.kind is nn.Linear:
            y = F.linear(x, weight, self.bias)
        else:
            y = _CONVOLUTIONS[self.kind](x, weight, self.bias, **self.settings)
        return y if self.norm is None else self.norm(y)

    def rounded_weight(self) -> Tensor:
        """The weight on its grid, in float, with gradients."""
        sign = self._by_row(self.sign())
        return quantized_weight(self.weight * sign, self._by_row(positive(self.step)), self.grid) * sign

    def off_grid(self) -> Tensor:
        """How far each weight, clamped to its grid, is from its rounded value: gradients reach the weight only."""
        step, sign = self._by_row(positive(self.step.detach())), self._by_row(self.sign())
        v = torch.clamp(self.weight * sign / step, self.grid.low, self.grid.high)
        return (v - v.detach().round()) * step

    def sign(self) -> Tensor:
        """-1 for each output channel that BatchNorm turns around, else 1."""
        gamma = None if self.norm is None else self.norm.weight
        ones = torch.ones_like(self.step)
        return ones if gamma is None else torch.where(gamma.detach() < 0, -ones, ones)

    def folded(self) -> Folded:
        """The layer with its BatchNorm in weight and bias, by running statistics; nothing is divided by gamma."""
        weight, step = self.weight.detach().double(), positive(self.step.detach()).double()
        bias = torch.zeros_like(step) if self.bias is None else self.bias.detach().double()
        if self.norm is not None:
            assert self.norm.running_mean is not None and self.norm.running_var is not None
            gamma, beta = self.norm.weight.detach().double(), self.norm.bias.detach().double()
            factor = gamma / torch.sqrt(self.norm.running_var.double() + self.norm.eps)
            weight, step = weight * self._by_row(factor), step * factor.abs()
            bias = (bias - self.norm.running_mean.double()) * factor + beta
        has_bias = self.bias is not None or self.norm is not None
        layer = with_parameters(self.plain, weight=weight.float(), bias=bias.float() if has_bias else None)
        return Folded(layer, step)

    def _by_row(self, values: Tensor) -> Tensor:
        return values.reshape(-1, *[1] * (self.weight.dim() - 1))


def with_norm(
    layer: Layer, lengths: Tensor | None, mean: Tensor, variance: Tensor, *, eps: float, momentum: float
) -> tuple[Layer, Norm]:
    """A layer without bias and a BatchNorm that together compute what the layer does.

    Rows are given the length they had before a BatchNorm was folded into them: behind a BatchNorm it does not matter to
    what is computed, but the shorter a row, the larger the steps that gradients make it take.

    Args:
        layer: with a BatchNorm folded in.
        lengths: of its rows before, ``[C_out]``, or None where that is not known.
        mean, variance: of its outputs without its bias, ``[C_out]``.
    """
    now = layer.weight.detach().flatten(1).norm(dim=1)
    wanted = torch.full_like(now, float(now.median())) if lengths is None else lengths.to(now)
    factor = wanted / now
    factor = torch.where((factor > 0) & torch.isfinite(factor), factor, torch.ones_like(factor))
    bias = torch.zeros_like(mean) if layer.bias is None else layer.bias.detach().to(mean)
    norm = _NORM_OF[type(layer)](len(mean), eps=eps, momentum=momentum)
    with torch.no_grad():
        assert norm.running_mean is not None and norm.running_var is not None
        norm.running_mean.copy_(mean * factor)
        norm.running_var.copy_(variance * factor.square())
        norm.weight.copy_(torch.sqrt(norm.running_var + eps) / factor)
        norm.bias.copy_(mean + bias)
    rows = factor.reshape(-1, *[1] * (layer.weight.dim() - 1))
    return with_parameters(layer, weight=layer.weight.detach() * rows, bias=None), norm
