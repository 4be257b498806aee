"""Round a layer's weights one input at a time, and change the remaining weights to compensate for each error.

For ``y = W x`` the error of integers ``Q`` is ``tr((W - Q) H (W - Q)^T)`` with ``H = E[x x^T]``: errors of correlated
inputs can cancel. Columns are rounded in order of their power; the error of each is distributed over the remaining ones
with the factors given by the inverse of ``H``, which is optimal for them.

The int8 layer reads ``x_q``, the result of the int8 layers before it for ``x``. The real weights that best give ``W x``
from ``x_q`` are ``W E[x x_q^T] E[x_q x_q^T]^-1``; these are rounded. Means are removed from both, since the bias
corrects them.

Both steps overfit few calibration samples, until the result is worse than rounding to nearest, and both reduce errors
of sums that the activation clips (docs/lab_notes.md). So for
each output several weights of these statistics are tried, and compared after its activation on held-out samples.

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
"""Share of the mean of ``H``'s diagonal that is added to it; it bounds the weights of inputs with almost no power."""
BLOCK = 64
"""Number of columns whose errors are distributed over the later columns at once."""


@dataclass(frozen=True)
class Trust:
    """Weights of the statistics from samples, from 0 (ignored) to 1 (used fully).

    Attributes:
        together: weight of the correlations between inputs.
        errors: weight of the correlations between earlier errors and inputs.
    """

    together: float
    errors: float


NO_TRUST = Trust(0.0, 0.0)
TRUSTS = (NO_TRUST, *(Trust(together, errors) for together in (0.5, 0.9, 1.0) for errors in (0.0, 0.5)))
"""The weights that are tried.

``errors=1`` would take longer and gains next to nothing.
"""

ErrorsOf = Callable[[Tensor], Tensor]
"""Function from integers ``[G, R, K]`` to the error of each output, ``[G, R]``."""


def compensated_rounding(
    weight: Tensor, learned: Moments, everything: Moments, grid: IntType, multiples: Tensor, errors_of: ErrorsOf
) -> tuple[Tensor, Tensor]:
    """Choose integers for weights, which are given in steps of their scale.

    Args:
        weight: ``[G, R, K]``: for each group, ``R`` outputs of ``K`` inputs.
        learned: moments of the samples that ``errors_of`` does not use.
        everything: moments of all samples, used once the weight of the statistics is chosen.
        grid: integer type of the weights.
        multiples: whole numbers with the shape of ``weight``: an integer weight is its multiple times a value of
            ``grid``.
        errors_of: computes the error of each output for given integers.

    Returns:
        Whole numbers, float64 ``[G, R, K]``, and the index in :data:`TRUSTS` chosen for each output, ``[G, R]``.
    """
    weight, multiples = weight.double(), multiples.double()
    off = torch.stack([errors_of(rounded_with(weight, learned, grid, multiples, trust)) for trust in TRUSTS])
    chosen, found = off.argmin(0), torch.empty_like(weight)
    for k in chosen.unique().tolist():
        rounded = rounded_with(weight, everything, grid, multiples, TRUSTS[k])
        found = torch.where((chosen == k).unsqueeze(2), rounded, found)
    return found, chosen


def rounded_with(weight: Tensor, moments: Moments, grid: IntType, multiples: Tensor, trust: Trust) -> Tensor:
    """The integers for one choice of :class:`Trust`; all float64."""
    nearest = (weight / multiples).round_().clamp_(grid.low, grid.high).mul_(multiples)
    if trust == NO_TRUST:
        return nearest
    squares, cross = moments.centred()
    power = squares.diagonal(dim1=1, dim2=2)
    floor = power.mean(1, keepdim=True).clamp(min=1e-12) * DAMPING
    squares = trust.together * squares + torch.diag_embed((1 - trust.together) * power + floor)
    if bool(torch.linalg.cholesky_ex(squares).info.any()):  # the statistics are smaller than float rounding errors
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
    """Permute each group's columns of ``[G, R, K]`` by the group's order."""
    return matrix.gather(2, order.unsqueeze(1).expand_as(matrix))


def _round_columns(left: Tensor, multiples: Tensor, spread: Tensor, grid: IntType) -> Tensor:
    """Round column by column; ``left`` is overwritten."""
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
