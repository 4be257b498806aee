"""A layer that rounds its weight whenever it is used, with its BatchNorm, which will be folded into it.

The step of each output channel is a parameter. BatchNorm multiplies a channel by ``gamma / sigma``. When it is folded,
the integers stay and the step is multiplied by this factor. A negative ``gamma`` would mirror the grid, which has one
level more below zero than above; for such channels the weight is rounded with its sign changed.

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
    """A layer with its BatchNorm folded, before rounding, and the step of each output channel."""

    layer: Layer
    step: Tensor


class TrainedLayer(nn.Module):
    """A convolution or linear layer in training. While ``norm_held`` is set, its BatchNorm works as in eval mode.

    Args:
        layer: source of weight, bias and settings; it is not changed.
        grid: grid of the weight's integers.
        step: initial steps, ``[C_out]``.
        norm: BatchNorm after it, or None.
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
        """Set the mode as usual, but keep a held BatchNorm in eval mode."""
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
        """Distance of each weight, clamped to its grid, from its rounded value; only the weight gets gradients."""
        step, sign = self._by_row(positive(self.step.detach())), self._by_row(self.sign())
        v = torch.clamp(self.weight * sign / step, self.grid.low, self.grid.high)
        return (v - v.detach().round()) * step

    def sign(self) -> Tensor:
        """Sign of each output channel: -1 if BatchNorm changes it, else 1."""
        gamma = None if self.norm is None else self.norm.weight
        ones = torch.ones_like(self.step)
        return ones if gamma is None else torch.where(gamma.detach() < 0, -ones, ones)

    def folded(self) -> Folded:
        """Fold the BatchNorm into weight and bias, by running statistics; nothing is divided by gamma."""
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
    """Split a layer into a layer without bias and a BatchNorm that together compute the same.

    Rows get the length they had before a BatchNorm was folded into them. Before a BatchNorm the length does not change
    the result, but the shorter a row, the larger is the relative effect of each gradient step.

    Args:
        layer: the layer with a BatchNorm folded in.
        lengths: former lengths of its rows, ``[C_out]``, or None if they are not known.
        mean, variance: statistics of its outputs without its bias, ``[C_out]``.
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
