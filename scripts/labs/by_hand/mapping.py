"""The linear mapping between real numbers and integers, written out, and a linear layer that computes with it.

    scale = (high - low) / (2^bits - 1),    zero_point = round(-low / scale)
    q = clip(round(x / scale) + zero_point, 0, 2^bits - 1),    x ~ (q - zero_point) * scale

Everything is float32, as in ``fx.linear_parameters`` and ``fx.quantize_linear``, which give the same integers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

EXAMPLE = torch.tensor([[0.22, 0.52, 0.13], [0.29, 1.0, 0.73], [0.44, 0.0, 0.33], [0.59, 0.97, 0.78]])
"""The 4x3 tensor that is mapped to two bits by hand in the course."""


def scale_and_zero_point(low: float, high: float, bits: int) -> tuple[float, int]:
    """Scale and zero point for the range [low, high], widened to hold zero, and unsigned integers of ``bits`` bits."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = torch.tensor((high - low) / (2**bits - 1), dtype=torch.float32).item() or 1.0
    return scale, round(-low / scale)


def quantized(x: Tensor, scale: float, zero_point: int, bits: int) -> Tensor:
    """Integers of ``x``, in a tensor of uint8."""
    return (torch.round(x / scale) + zero_point).clamp(0, 2**bits - 1).to(torch.uint8)


def dequantized(q: Tensor, scale: float, zero_point: int) -> Tensor:
    """Real numbers of integers."""
    return (q.to(torch.float32) - zero_point) * scale


def largest_possible_error(low: float, high: float, bits: int) -> float:
    """Half a step: the largest distance inside the range from the nearest integer's number."""
    return (high - low) / float(2**bits - 1) / 2


def packed_bytes(values: int, bits: int) -> int:
    """Size on disk of integers that are packed without gaps."""
    return (values * bits + 7) // 8


class HandQuantizedLinear(nn.Module):
    """A linear layer whose weights are uint8 and whose input is mapped to uint8 at every call; sums are integers."""

    weight: Tensor

    def __init__(self, layer: nn.Linear, bits: int = 8) -> None:
        super().__init__()
        weight = layer.weight.detach()
        self.bits = bits
        self.weight_scale, self.weight_zero = scale_and_zero_point(weight.min().item(), weight.max().item(), bits)
        self.register_buffer("weight", quantized(weight, self.weight_scale, self.weight_zero, bits))
        self.register_buffer("bias", layer.bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        scale, zero = scale_and_zero_point(x.min().item(), x.max().item(), 8)
        integers = quantized(x, scale, zero, 8).to(torch.int32) - zero
        # Double sums are exact below 2**53, and torch multiplies them faster than int32.
        sums = integers.double() @ (self.weight.double() - self.weight_zero).t()
        return sums.to(torch.float32) * (scale * self.weight_scale) + self.get_buffer("bias")


def with_hand_quantized_layers(net: nn.Module, bits: int = 8) -> nn.Module:
    """Replace every linear layer of a net, in place."""
    for name, child in net.named_children():
        if isinstance(child, nn.Linear):
            setattr(net, name, HandQuantizedLinear(child, bits))
        else:
            with_hand_quantized_layers(child, bits)
    return net
