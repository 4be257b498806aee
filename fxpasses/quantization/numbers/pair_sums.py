"""Weights whose products survive kernels that add pairs of them in 16 bits.

On x86 CPUs without VNNI, int8 kernels use ``vpmaddubsw``: it multiplies unsigned with signed bytes, adds two
neighbouring products, and saturates the sum at 16 bits. Two weights ``a`` and ``b`` that meet there, with activations
up to 255, are safe as long as ``255 * |a + b| <= 32767`` where they have one sign: ``|a| + |b| <= 128``. With different
signs, each alone is at most 127, and nothing saturates.

Which weights meet follows from the order in which kernels lay a row out: kernel positions first, channels inside.

- onnxruntime and fbgemm pair entries 2i and 2i + 1 of that order. With an even number of channels these are channels
  2i and 2i + 1 of one position; with an odd number pairs go across positions.
- oneDNN pairs channels 2i and 2i + 1 of each position, whatever their number.
- depthwise kernels (one input channel, one output channel to a group) multiply in 32 bits: nothing meets. Kernels of
  transposed convolutions compute in float.

``tests/quantization/numbers/test_pair_sums.py`` asks the kernels themselves, by weights in which all but two are zero.
"""

from __future__ import annotations

import torch
from torch import Tensor

LARGEST_PAIR = 128
"""Largest sum of the magnitudes of two weights of one sign: 255 times one more exceeds 16 bits."""

_STEPS = 16
"""Scales tried for a channel, from the one at which its pairs just fit down to the one its largest weight asks for."""


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
    """Whether no kernel can saturate on an int8 weight, whatever the activations.

    Args:
        weight, axis, groups: as for :func:`pairs_meet`.
    """
    if not pairs_meet(weight, axis, groups):
        return True
    return all(int(_excess(pairs).max()) <= 0 for pairs in _pairings(_laid_out(weight.to(torch.int16))))


def pair_safe(weight: Tensor) -> Tensor:
    """The nearest integers at which no pair of a layer's weights is too large: each gives half of what is too much.

    Args:
        weight: whole numbers of magnitude up to 127, in any dtype, of a layer whose pairs meet.

    Returns:
        A tensor of the same shape and dtype; integers only ever move towards zero.
    """
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
    """The scale of each output channel that costs least in squares once pairs are made safe.

    Tried are scales from ``scale`` up to the one at which the channel's largest pair fits as it is.

    Args:
        weight: float, ``[C_out, C_in / groups, *kernel]``.
        scale: of each channel, at which its largest weight fits: ``[C_out]``, positive.
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
    """By how much each pair ``[..., 2]`` of one sign is above what is safe; far below zero for two signs."""
    a, b = pairs.unbind(-1)
    return torch.where(a * b > 0, (a + b).abs() - LARGEST_PAIR, -LARGEST_PAIR)
