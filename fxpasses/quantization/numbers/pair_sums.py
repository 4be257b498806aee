"""Weights that kernels with 16-bit sums of two products compute exactly ("pair-safe" weights).

On x86 CPUs without VNNI, int8 kernels use ``vpmaddubsw``: it multiplies unsigned with signed bytes, adds two
neighbouring products, and saturates the sum at 16 bits. Two weights ``a`` and ``b`` of one such sum, with activations
up to 255, are safe if ``255 * |a + b| <= 32767``: for equal signs if ``|a| + |b| <= 128``. With different signs nothing
saturates, since each magnitude is at most 127.

The pairs follow from the order in which kernels store a row: kernel positions first, channels inside.

- onnxruntime and fbgemm pair entries 2i and 2i + 1 of that order. With an even number of channels these are channels
  2i and 2i + 1 of one position; with an odd number pairs go across positions.
- oneDNN pairs channels 2i and 2i + 1 of each position, whatever their number.
- depthwise kernels (one input channel, one output channel to a group) multiply in 32 bits: no pairs. Kernels of
  transposed convolutions compute in float.

``tests/quantization/numbers/test_pair_sums.py`` checks this with the kernels themselves, on weights that are zero
except for two.
"""

from __future__ import annotations

import torch
from torch import Tensor

LARGEST_PAIR = 128
"""Largest sum of the magnitudes of two weights of one sign; 255 times a larger sum exceeds 16 bits."""

_STEPS = 16
"""Number of scales tried for a channel, from one at which all pairs are safe down to the one for its largest weight."""


def pairs_meet(weight: Tensor, axis: int, groups: int) -> bool:
    """Whether kernels without VNNI add products of a layer's weights in pairs.

    Args:
        weight: ``[C_out, C_in / groups, *kernel]``, or ``[C_out, C_in]`` of a linear layer.
        axis: the dimension of output channels; 1 marks a transposed convolution.
        groups: of a convolution, else 1.
    """
    depthwise = weight.dim() > 2 and weight.shape[1] == 1 and groups == weight.shape[0]
    return axis == 0 and not depthwise


def is_pair_safe(weight: Tensor, axis: int, groups: int) -> bool:
    """Whether no kernel can saturate with an int8 weight, for any activations."""
    if not pairs_meet(weight, axis, groups):
        return True
    return all(int(_excess(pairs).max()) <= 0 for pairs in _pairings(_laid_out(weight.to(torch.int16))))


def pair_safe(weight: Tensor) -> Tensor:
    """Reduce weights until no pair is above the limit; both weights of a pair give half of the excess."""
    rows = _laid_out(weight).clone(memory_format=torch.contiguous_format)
    for pairs in _pairings(rows):
        excess = _excess(pairs).clamp_(min=0)
        larger = pairs.abs().argmax(-1, keepdim=True)
        less = (excess / 2).floor_().unsqueeze(-1).expand_as(pairs)
        less = less.scatter(-1, larger, (excess - (excess / 2).floor_()).unsqueeze(-1))
        pairs.sub_((less * pairs.sign()).to(pairs.dtype))
    kernel = weight.shape[2:]
    return rows.transpose(1, 2).reshape(weight.shape[0], weight.shape[1], *kernel)


def pair_safe_scales(weight: Tensor, scale: Tensor) -> Tensor:
    """The scale of each output channel with the least squared error after pairs are made safe.

    Scales are tried from ``scale`` up to the one at which the channel's largest pair is safe without changes.
    """
    steps = weight / _column(scale, weight)
    widest = torch.ones_like(scale)
    for pairs in _pairings(_laid_out(steps).contiguous()):
        both = (_excess(pairs) + LARGEST_PAIR).flatten(1)
        widest = torch.maximum(widest, both.amax(1) / (LARGEST_PAIR - 1))
    best, least = scale, torch.full_like(scale, torch.inf)
    for step in range(_STEPS + 1):
        tried = scale * (widest + (1 - widest) * step / _STEPS)
        exact = weight / _column(tried, weight)
        error = (pair_safe(exact.round()) - exact).flatten(1).square().sum(1) * tried.square()
        best = torch.where(error < least, tried, best)
        least = torch.minimum(error, least)
    return best


def _column(scale: Tensor, weight: Tensor) -> Tensor:
    return scale.reshape(-1, *[1] * (weight.dim() - 1))


def _laid_out(weight: Tensor) -> Tensor:
    """``[C_out, positions, channels]``: the order in which kernels read a row."""
    return weight.flatten(2).transpose(1, 2) if weight.dim() > 2 else weight.unsqueeze(1)


def _pairings(rows: Tensor) -> list[Tensor]:
    """Views of contiguous rows ``[C_out, positions, channels]`` as pairs ``[..., 2]``, one for each way to pair."""
    _, positions, channels = rows.shape
    flat = rows.flatten(1)
    found = [flat[:, : flat.shape[1] // 2 * 2].unflatten(1, (-1, 2))]
    if channels % 2 and positions > 1:
        found.append(rows[:, :, : channels // 2 * 2].unflatten(2, (-1, 2)))
    return [pairs for pairs in found if pairs.numel()]


def _excess(pairs: Tensor) -> Tensor:
    """Excess of each pair ``[..., 2]`` of one sign over the safe limit; far below zero for two signs."""
    a, b = pairs.unbind(-1)
    return torch.where(a * b > 0, (a + b).abs() - LARGEST_PAIR, -LARGEST_PAIR)
