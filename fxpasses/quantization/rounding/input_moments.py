"""Means and correlations of a layer's inputs, in float and as computed by the int8 layers before it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Moments:
    """Sums over samples of a layer's inputs, float64, for each of ``G`` groups of ``K`` inputs.

    Attributes:
        shift: a value near the mean of ``x_q``, ``[G, K, 1]``, subtracted from all samples before summation: without it
            the variances would be lost in float32 rounding.
        count: number of samples.
        exact, integer: sums of ``x`` and ``x_q``: ``[G, K]``.
        squares: sums of ``x_q x_q^T``: ``[G, K, K]``.
        cross: sums of ``(x - x_q) x_q^T``: ``[G, K, K]``.
    """

    shift: Tensor
    count: int
    exact: Tensor
    integer: Tensor
    squares: Tensor
    cross: Tensor

    @classmethod
    def around(cls, shift: Tensor) -> Moments:
        """Moments without samples."""
        groups, inputs, _ = shift.shape
        zeros = torch.zeros(groups, inputs, inputs, dtype=torch.float64)
        return cls(shift, 0, zeros[:, 0].clone(), zeros[:, 0].clone(), zeros, zeros.clone())

    @classmethod
    def of(cls, exact: Tensor, integer: Tensor) -> Moments:
        """Moments of the first samples, ``[G, K, S]``."""
        found = cls.around(integer.mean(2, keepdim=True))
        found.take_in(exact, integer)
        return found

    def take_in(self, exact: Tensor, integer: Tensor) -> None:
        """Add samples of both, ``[G, K, S]``."""
        exact, integer = exact - self.shift, integer - self.shift
        self.count += exact.shape[2]
        self.exact += exact.sum(2).double()
        self.integer += integer.sum(2).double()
        self.squares += (integer @ integer.transpose(1, 2)).double()
        self.cross += ((exact - integer) @ integer.transpose(1, 2)).double()

    def __add__(self, other: Moments) -> Moments:
        """Moments of the samples of both, which must have the same shift."""
        assert torch.equal(self.shift, other.shift)
        pairs = (
            (self.exact, other.exact),
            (self.integer, other.integer),
            (self.squares, other.squares),
            (self.cross, other.cross),
        )
        return Moments(self.shift, self.count + other.count, *(a + b for a, b in pairs))

    def means(self) -> tuple[Tensor, Tensor]:
        """Means of ``x`` and ``x_q``: ``[G, K]``."""
        shift = self.shift[:, :, 0].double()
        return self.exact / self.count + shift, self.integer / self.count + shift

    def centred(self) -> tuple[Tensor, Tensor]:
        """``squares`` and ``cross`` per sample, with the means removed."""
        exact, integer = self.exact / self.count, self.integer / self.count
        outer = integer.unsqueeze(2) * integer.unsqueeze(1)
        shift = (exact - integer).unsqueeze(2) * integer.unsqueeze(1)
        return self.squares / self.count - outer, self.cross / self.count - shift
