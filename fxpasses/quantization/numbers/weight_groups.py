"""Groups of weights with their own steps, in ordinary int8 arithmetic with one scale per channel.

With few bits one step for a whole channel is too coarse for its small weights. Here the weights of neighbouring inputs
form groups, and the step of a group is an integer multiple ``m`` of the channel's scale ``s``:

    w = s * (m * q),   q in 4 bits or fewer,   m in 1 .. 15,   m * q in int8

Kernels read int8 weights and one scale per channel, so they are as fast as before; files hold ``q`` and ``m``
(:mod:`fxpasses.export.onnx_forms.nibbles`). Only the int8 weights have to be stored: :func:`common_multiples` computes
the multiples from them.

Source: Dai et al. 2021, "VS-Quant: Per-Vector Scaled Quantization", arXiv:2102.04503, whose second level of scales is
such integers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .qparams import SMALLEST_SCALE, IntType

LARGEST_MULTIPLE = 15
"""Largest multiple; a multiple takes four bits in a file."""
MOST_BITS = 4
"""Most bits of grouped weights; weights with more bits take a byte each with or without groups."""
SHORTEST = 8
"""Fewest weights in a group; with fewer the multiples take too much of the saved space."""
_FRACTIONS = [k / 32 for k in range(34, 17, -1)]
"""Scales tried for a channel, as fractions of the scale whose largest multiple covers the largest weight."""


def group_length(row: int, wanted: int) -> int:
    """Weights in a group: the largest divisor of ``row`` up to ``wanted``; ``row`` if that is too small."""
    length = next(n for n in range(min(row, wanted), 0, -1) if row % n == 0)
    return length if length >= SHORTEST else row


def largest_multiple(full: IntType, grid: IntType) -> int:
    """Largest multiple that keeps weights of ``grid`` inside ``full``, the range of 8 bits."""
    return min(LARGEST_MULTIPLE, full.high // -grid.low)


def grouped_scales(rows: Tensor, grid: IntType, length: int, largest: int) -> Tensor:
    """The scale of each row whose multiples give the least squared error: float32 ``[C]``.

    Args:
        rows: float32 ``[C, K]``.
        grid: integer type of ``q``.
        length: weights in a group; divides ``K``.
        largest: largest multiple.
    """
    full = (rows.abs().amax(1) / (-grid.low * largest)).clamp(min=SMALLEST_SCALE)
    best, least = full, torch.full_like(full, torch.inf)
    for fraction in _FRACTIONS:
        scale = full * fraction
        _, errors = _best_multiples(rows / scale.unsqueeze(1), grid, length, largest)
        error = errors.sum(1) * scale.square()
        best = torch.where(error < least, scale, best)
        least = torch.minimum(error, least)
    return best


def group_multiples(
    steps: Tensor, grid: IntType, length: int, largest: int, importance: Tensor | None = None
) -> Tensor:
    """The multiple of each weight's group with the least squared error.

    Args:
        steps: weights in steps of their channel's scale, ``[C, K]``.
        importance: factor of each weight's squared error, ``[C, K]``; None: all equal.

    Returns:
        Whole numbers, with the dtype and shape of ``steps``.
    """
    found, _ = _best_multiples(steps, grid, length, largest, importance)
    return found.to(steps.dtype).repeat_interleave(length, 1)


def _best_multiples(
    steps: Tensor, grid: IntType, length: int, largest: int, importance: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The best multiple of each group and its sum of squared errors: ``[C, K / length]`` each."""
    groups = steps.unflatten(1, (-1, length))
    counts = torch.ones_like(groups) if importance is None else importance.unflatten(1, (-1, length))
    best = torch.ones(groups.shape[:2], dtype=torch.int64)
    least = torch.full(groups.shape[:2], torch.inf, dtype=steps.dtype)
    for multiple in range(1, largest + 1):
        rounded = (groups / multiple).round_().clamp_(grid.low, grid.high).mul_(multiple)
        error = rounded.sub_(groups).square_().mul_(counts).sum(2)
        best = torch.where(error < least, multiple, best)
        least = torch.minimum(error, least)
    return best, least


def common_multiples(integers: Tensor, grid: IntType, length: int) -> tuple[Tensor, Tensor] | None:
    """Split integers into few-bit integers and multiples.

    Args:
        integers: int8 ``[C, K]``.

    Returns:
        ``q [C, K]`` and the multiples ``[C, K / length]``, int8, with ``q * multiple == integers``; None if the
        integers are no such products.
    """
    groups = integers.to(torch.int16).unflatten(1, (-1, length))
    best = torch.zeros(groups.shape[:2], dtype=torch.int16)
    for multiple in range(1, LARGEST_MULTIPLE + 1):
        quotient = groups.div(multiple, rounding_mode="floor")
        fits = (quotient * multiple == groups) & (quotient >= grid.low) & (quotient <= grid.high)
        best = torch.where((best == 0) & fits.all(2), multiple, best)
    if bool((best == 0).any()):
        return None
    q = groups.div(best.unsqueeze(2), rounding_mode="floor").flatten(1)
    return q.to(torch.int8), best.to(torch.int8)
