"""Round a layer's weights one input at a time, each time moving those not yet rounded to mend what that did.

For ``y = W x`` the error of integers ``Q`` is ``tr((W - Q) H (W - Q)^T)`` with ``H = E[x x^T]``: correlated inputs can
make up for each other. Columns are rounded in order of their power; the error of each is spread over the rest, in the
proportions the inverse of ``H`` gives, which is optimal for the rest.

The int8 layer reads ``x_q``, what int8 layers before it made of ``x``. The real weights that best give ``W x`` from
``x_q`` are ``W E[x x_q^T] E[x_q x_q^T]^-1``: those are rounded. Means are taken out of both: they are for the bias.

Both learn from few samples, and may learn them by heart: on MobileNetV2 in 8 bits believing all of it ends 5 dB below
rounding to nearest. And both want sums right that an activation behind them may forget: one block of MobileNetV2 came
2.6 dB farther off by sums that were nearer. So how far to believe is tried out for each output, behind its activation,
on samples that nothing was learned from.

Sources: Frantar et al. 2023, "GPTQ", arXiv:2210.17323 (one order of columns for all rows, the Cholesky form, blocks);
Li et al. 2025, "GPTAQ", arXiv:2504.02692 (the asymmetric target); Ledoit and Wolf 2004, "A well-conditioned estimator
for large-dimensional covariance matrices" (shrinking correlations).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..numbers.qparams import IntType
from .input_moments import Moments

DAMPING = 0.01
"""Added to the diagonal of ``H``, in units of its mean: inputs hardly seen must not get weights without bounds."""
BLOCK = 64
"""Columns whose errors are spread over the columns behind them at once."""


@dataclass(frozen=True)
class Trust:
    """How far to believe what samples say, from 0 to 1.

    Attributes:
        together: which inputs vary together.
        errors: how the errors made before go with the inputs.
    """

    together: float
    errors: float


NO_TRUST = Trust(0.0, 0.0)
TRUSTS = (NO_TRUST, *(Trust(together, errors) for together in (0.5, 0.9, 1.0) for errors in (0.0, 0.5)))
"""Those tried. Believing errors wholly, too, takes 1.5 times as long: ResNet-20 gains 0.15 dB, MobileNetV2 nothing."""

Judge = Callable[[Tensor], Tensor]
"""From integers ``[G, R, K]`` to how far off their outputs are, ``[G, R]``."""


def compensated_rounding(
    weight: Tensor, learned: Moments, everything: Moments, grid: IntType, multiples: Tensor, judge: Judge
) -> tuple[Tensor, Tensor]:
    """Integers for weights counted in steps of their scale.

    Args:
        weight: ``[G, R, K]``: for each group, ``R`` outputs of ``K`` inputs.
        learned: inputs of the samples that ``judge`` does not look at.
        everything: inputs of all samples: learned from once it is settled how far to believe them.
        grid: what the integers may be.
        multiples: whole numbers of the shape of ``weight``: integers are those times one of the grid.
        judge: how far off each output is with given integers.

    Returns:
        Whole numbers, float64 ``[G, R, K]``, and which of :data:`TRUSTS` was chosen for each output, ``[G, R]``.
    """
    weight, multiples = weight.double(), multiples.double()
    off = torch.stack([judge(rounded_with(weight, learned, grid, multiples, trust)) for trust in TRUSTS])
    chosen, found = off.argmin(0), torch.empty_like(weight)
    for k in chosen.unique().tolist():
        rounded = rounded_with(weight, everything, grid, multiples, TRUSTS[k])
        found = torch.where((chosen == k).unsqueeze(2), rounded, found)
    return found, chosen


def rounded_with(weight: Tensor, moments: Moments, grid: IntType, multiples: Tensor, trust: Trust) -> Tensor:
    """The integers for one trust; all float64."""
    nearest = (weight / multiples).round_().clamp_(grid.low, grid.high).mul_(multiples)
    if trust == NO_TRUST:
        return nearest
    squares, cross = moments.centred()
    power = squares.diagonal(dim1=1, dim2=2)
    floor = power.mean(1, keepdim=True).clamp(min=1e-12) * DAMPING
    squares = trust.together * squares + torch.diag_embed((1 - trust.together) * power + floor)
    if bool(torch.linalg.cholesky_ex(squares).info.any()):  # samples that say less than their own rounding errors
        return nearest
    if trust.errors:
        target = torch.linalg.solve(squares, (weight @ cross).transpose(1, 2)).transpose(1, 2)
        weight = weight + trust.errors * target
    order = power.argsort(dim=1, descending=True)
    squares = _columns(_columns(squares, order).transpose(1, 2), order)
    spread = torch.linalg.cholesky(torch.linalg.inv(squares), upper=True)
    rounded = _round_columns(_columns(weight, order).contiguous(), _columns(multiples, order), spread, grid)
    return _columns(rounded, order.argsort(dim=1))


def _columns(matrix: Tensor, order: Tensor) -> Tensor:
    """``[G, R, K]`` with each group's columns in its order."""
    return matrix.gather(2, order.unsqueeze(1).expand_as(matrix))


def _round_columns(left: Tensor, multiples: Tensor, spread: Tensor, grid: IntType) -> Tensor:
    """Round column by column; ``left`` is used up."""
    rounded = torch.empty_like(left)
    width = left.shape[2]
    for start in range(0, width, BLOCK):
        end = min(start + BLOCK, width)
        errors = torch.empty_like(left[:, :, start:end])
        for i in range(start, end):
            q = (left[:, :, i] / multiples[:, :, i]).round_().clamp_(grid.low, grid.high).mul_(multiples[:, :, i])
            error = (left[:, :, i] - q) / spread[:, i, i].unsqueeze(1)
            left[:, :, i + 1 : end] -= error.unsqueeze(2) * spread[:, i, i + 1 : end].unsqueeze(1)
            errors[:, :, i - start] = error
            rounded[:, :, i] = q
        left[:, :, end:] -= errors @ spread[:, start:end, end:]
    return rounded
