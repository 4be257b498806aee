"""Round a layer's weights one input at a time, each time moving those not yet rounded to mend what that did.

For ``y = W x`` the error of integers ``Q`` is ``tr((W - Q) H (W - Q)^T)`` with ``H = E[x x^T]``: correlated inputs can
make up for each other. Columns are rounded in order of their power; the error of each is spread over the rest, in the
proportions the inverse of ``H`` gives, which is optimal for the rest.

The int8 layer reads ``x_q``, what int8 layers before it made of ``x``. The real weights that best give ``W x`` from
``x_q`` are ``W E[x x_q^T] E[x_q x_q^T]^-1``: those are rounded. Means are taken out of both: they are for the bias.

Sources: Frantar et al. 2023, "GPTQ", arXiv:2210.17323 (one order of columns for all rows, the Cholesky form); Li et al.
2025, "GPTAQ", arXiv:2504.02692 (the asymmetric target).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .qparams import IntType

DAMPING = 0.01
"""Added to the diagonal of ``H``, in units of its mean: inputs hardly seen must not get weights without bounds."""

SAMPLES_TO_AN_INPUT = 8
"""Samples for each input of a row that tell how inputs vary together; behind a global pool there is one an image."""


@dataclass
class Moments:
    """Sums over samples of a layer's inputs, float64, for each of ``G`` groups of ``K`` inputs.

    Attributes:
        shift: near the mean of ``x_q``, ``[G, K, 1]``, taken from all that is summed: far from it nothing would be left
            of the variances in float32.
        count: samples.
        exact, integer: sums of ``x`` and ``x_q``: ``[G, K]``.
        squares: of ``x_q x_q^T``: ``[G, K, K]``.
        cross: of ``(x - x_q) x_q^T``: ``[G, K, K]``.
    """

    shift: Tensor
    count: int
    exact: Tensor
    integer: Tensor
    squares: Tensor
    cross: Tensor

    @classmethod
    def of(cls, exact: Tensor, integer: Tensor) -> Moments:
        """Of the first samples: ``[G, K, S]``."""
        groups, inputs, _ = integer.shape
        zeros = torch.zeros(groups, inputs, inputs, dtype=torch.float64)
        shift = integer.mean(2, keepdim=True)
        found = cls(shift, 0, zeros[:, 0].clone(), zeros[:, 0].clone(), zeros, zeros.clone())
        found.take_in(exact, integer)
        return found

    def take_in(self, exact: Tensor, integer: Tensor) -> None:
        """Samples of both: ``[G, K, S]``."""
        exact, integer = exact - self.shift, integer - self.shift
        self.count += exact.shape[2]
        self.exact += exact.sum(2).double()
        self.integer += integer.sum(2).double()
        self.squares += (integer @ integer.transpose(1, 2)).double()
        self.cross += ((exact - integer) @ integer.transpose(1, 2)).double()

    def means(self) -> tuple[Tensor, Tensor]:
        """Of ``x`` and ``x_q``: ``[G, K]``."""
        shift = self.shift[:, :, 0].double()
        return self.exact / self.count + shift, self.integer / self.count + shift

    def centred(self) -> tuple[Tensor, Tensor]:
        """``squares`` and ``cross`` per sample, without what the means make of them.

        What inputs have to do with each other is believed the less the fewer samples there are to an input.
        """
        exact, integer = self.exact / self.count, self.integer / self.count
        outer = integer.unsqueeze(2) * integer.unsqueeze(1)
        shift = (exact - integer).unsqueeze(2) * integer.unsqueeze(1)
        squares, cross = self.squares / self.count - outer, self.cross / self.count - shift
        belief = min(1.0, self.count / (SAMPLES_TO_AN_INPUT * integer.shape[1]))
        alone = torch.diag_embed(squares.diagonal(dim1=1, dim2=2))
        return belief * squares + (1 - belief) * alone, belief * cross


def compensated_rounding(weight: Tensor, moments: Moments, grid: IntType) -> Tensor:
    """Integers for weights counted in steps of their scale.

    Args:
        weight: ``[G, R, K]``: for each group, ``R`` outputs of ``K`` inputs.
        grid: what they may be.

    Returns:
        Whole numbers of the grid, float64 ``[G, R, K]``.
    """
    squares, cross = moments.centred()
    power = squares.diagonal(dim1=1, dim2=2)
    floor = power.mean(1, keepdim=True).clamp(min=1e-12) * DAMPING
    squares = squares + torch.diag_embed(floor.expand_as(power))
    weight = weight.double()
    if bool(torch.linalg.cholesky_ex(squares).info.any()):  # samples that say less than their own rounding errors
        return weight.round().clamp_(grid.low, grid.high)
    weight = weight + torch.linalg.solve(squares, (weight @ cross).transpose(1, 2)).transpose(1, 2)
    order = power.argsort(dim=1, descending=True)
    back = order.argsort(dim=1)
    squares = _columns(_columns(squares, order).transpose(1, 2), order)
    spread = torch.linalg.cholesky(torch.linalg.inv(squares), upper=True)
    rounded = _round_columns(_columns(weight, order).contiguous(), spread, grid)
    return _columns(rounded, back)


def _columns(matrix: Tensor, order: Tensor) -> Tensor:
    """``[G, R, K]`` with each group's columns in its order."""
    return matrix.gather(2, order.unsqueeze(1).expand_as(matrix))


def _round_columns(left: Tensor, spread: Tensor, grid: IntType) -> Tensor:
    """Round column by column; ``left`` is used up."""
    rounded = torch.empty_like(left)
    for i in range(left.shape[2]):
        q = left[:, :, i].round().clamp_(grid.low, grid.high)
        error = (left[:, :, i] - q) / spread[:, i, i].unsqueeze(1)
        left[:, :, i + 1 :] -= error.unsqueeze(2) * spread[:, i, i + 1 :].unsqueeze(1)
        rounded[:, :, i] = q
    return rounded
