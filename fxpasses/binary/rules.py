"""Rules of binary and ternary weights: functions of a real weight ``[C_out, ...]`` alone.

``sign(0) = +1`` everywhere. The original code of BinaryConnect rounds half to even, which makes -1 of a zero.

| rule | weight that computes |
|---|---|
| BinaryConnect (Courbariaux et al. 2015) | ``sign(w)``; stochastic: +1 with probability ``clip((w + 1) / 2, 0, 1)`` |
| BWN, XNOR-Net (Rastegari et al. 2016) | ``mean |w| * sign(w)``, the mean over each output's filter |
| TWN (Li et al. 2016) | ``alpha * {-1, 0, +1}``: zero up to ``0.7 * mean |w|``, alpha the mean of the others |
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..graph.binary_ops import sign_of

TERNARY_THRESHOLD = 0.7
"""Threshold of TWN, in means of the weights' magnitudes: near the optimum for normal and for uniform weights."""


def hard_sigmoid(w: Tensor) -> Tensor:
    """Probability of +1 in stochastic BinaryConnect: ``clip((w + 1) / 2, 0, 1)``."""
    return ((w + 1) / 2).clamp(0, 1)


def stochastic_sign(w: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draw -1 or +1 for each value; +1 has the probability of :func:`hard_sigmoid`."""
    drawn = torch.rand(w.shape, generator=generator, dtype=w.dtype)
    return torch.where(drawn < hard_sigmoid(w), 1.0, -1.0).to(w.dtype)


def filter_means(w: Tensor) -> Tensor:
    """The mean magnitude of each output's weights, shaped ``[C_out, 1, ...]``."""
    return w.abs().flatten(1).mean(1).reshape(-1, *[1] * (w.dim() - 1))


def scaled_sign(w: Tensor) -> Tensor:
    """Nearest binary weight in the least-squares sense: ``mean |w| * sign(w)`` for each output."""
    return filter_means(w) * sign_of(w)


def ternary(w: Tensor, *, by_filter: bool = True) -> Tensor:
    """Ternary weight ``alpha * {-1, 0, +1}``, with threshold and alpha for each output, or for the whole layer."""
    rows = w.flatten(1) if by_filter else w.reshape(1, -1)
    magnitudes = rows.abs()
    kept = magnitudes > TERNARY_THRESHOLD * magnitudes.mean(1, keepdim=True)
    alpha = (magnitudes * kept).sum(1, keepdim=True) / kept.sum(1, keepdim=True).clamp(min=1)
    return (alpha * kept * sign_of(rows)).reshape(w.shape)


def centred_and_clamped(w: Tensor) -> Tensor:
    """Subtract its mean over input channels from every filter and clamp to [-1, 1], as XNOR-Net
    does before each step.
    """
    return (w - w.mean(1, keepdim=True)).clamp(-1, 1)
