"""Groups of weights with steps of their own, in the int8 arithmetic of one scale for each channel.

With few bits one step for a whole channel is too coarse for its small weights. Here the weights that neighbouring
inputs are multiplied with form groups, and the step of a group is a whole multiple ``m`` of the channel's scale ``s``:

    w = s * (m * q),   q in 4 bits or fewer,   m in 1 .. 15,   m * q in int8

Kernels see int8 weights and one scale for each channel, and cost what they cost; files hold ``q`` and ``m``
(:mod:`fxpasses.export.onnx_forms.nibbles`). Nothing but the int8 weights has to be remembered: the multiples are those
that fit them best, and :func:`common_multiples` finds them again in the integers.

Source: Dai et al. 2021, "VS-Quant: Per-Vector Scaled Quantization", arXiv:2102.04503, whose second level of scales is
such integers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .qparams import SMALLEST_SCALE, IntType

LARGEST_MULTIPLE = 15
"""Multiples take four bits in a file."""
MOST_BITS = 4
"""Weights of more bits take a byte each, multiplied or not."""
SHORTEST = 8
"""Weights to a group below which multiples take too much of what they save."""
_FRACTIONS = [k / 32 for k in range(34, 17, -1)]
"""Of the scale whose largest multiple covers the largest weight: those tried for a channel."""


def group_length(row: int, wanted: int) -> int:
    """Weights to a group: the largest divisor of ``row`` up to ``wanted``; the whole row if they would be too small."""
    length = next(n for n in range(min(row, wanted), 0, -1) if row % n == 0)
    return length if length >= SHORTEST else row


def largest_multiple(full: IntType, grid: IntType) -> int:
    """What weights of ``grid`` may be multiplied with to stay in ``full``, the grid of 8 bits."""
    return min(LARGEST_MULTIPLE, full.high // -grid.low)


def grouped_scales(rows: Tensor, grid: IntType, length: int, largest: int) -> Tensor:
    """For each row the scale whose multiples cost least in squares: float32 ``[C]``.

    Args:
        rows: float32 ``[C, K]``.
        grid: of ``q``.
        length: weights to a group; divides ``K``.
        largest: multiple.
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
    """The multiple of each weight's group that costs least.

    Args:
        steps: weights counted in steps of their channel's scale, ``[C, K]``.
        importance: of a weight's squared error, ``[C, K]``; None: all the same.

    Returns:
        Whole numbers, of the dtype and shape of ``steps``.
    """
    found, _ = _best_multiples(steps, grid, length, largest, importance)
    return found.to(steps.dtype).repeat_interleave(length, 1)


def _best_multiples(
    steps: Tensor, grid: IntType, length: int, largest: int, importance: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """For each group the best multiple and its sum of squared errors: ``[C, K / length]`` each."""
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
    """Integers taken apart again into few bits and multiples.

    Args:
        integers: int8 ``[C, K]``.

    Returns:
        ``q [C, K]`` and the multiples ``[C, K / length]``, int8, with ``q * multiple == integers``; None if
        there are none that fit.
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
