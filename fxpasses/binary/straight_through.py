"""Gradients through rounding to binary and ternary values, as each paper has them.

Weights: BinaryConnect and TWN hand the gradient of the binary weight to the real one. XNOR-Net's paper scales it::

    g * (m + 1/n) * (1 - 1/c_in) * n        m = mean |w|, 0 where |w| >= 1;  n weights to an output, c_in channels

which is not the derivative of ``mean |w| * sign(w)``: a weight also moves the mean of all others. With that::

    m * g + sign(w) * sum(sign(w) * g) / n

ReActNet takes the derivative of ``mean |w| * w`` inside [-1, 1], the mean held constant. Inputs: XNOR-Net hands the
gradient on inside (-1, 1); Bi-Real Net the derivative of a piecewise parabola, ``2 - 2 |x|``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..graph.binary_ops import sign_of
from .rules import filter_means, scaled_sign


class _Identity(torch.autograd.Function):
    """The second tensor forward, the whole gradient to the first."""

    @staticmethod
    def forward(ctx: Any, real: Tensor, rounded: Tensor) -> Tensor:
        return rounded.view_as(rounded)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0], None


def straight_through(real: Tensor, rounded: Tensor) -> Tensor:
    """``rounded``, whose gradient is handed to ``real`` as it is."""
    result: Tensor = _Identity.apply(real, rounded)
    return result


class _ScaledSign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, w: Tensor, gradient: str) -> Tensor:
        ctx.save_for_backward(w)
        ctx.gradient = gradient
        return scaled_sign(w)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (w,) = ctx.saved_tensors
        return _GRADIENTS[ctx.gradient](w, gradients[0]), None


def paper_gradient(w: Tensor, g: Tensor) -> Tensor:
    """XNOR-Net's paper and its authors' code."""
    n, c_in = w[0].numel(), w.shape[1]
    m = torch.where(w.abs() >= 1, 0.0, filter_means(w))
    return g * (m + 1 / n) * (1 - 1 / c_in) * n


def exact_gradient(w: Tensor, g: Tensor) -> Tensor:
    """The derivative of ``mean |w| * sign(w)``, sign straight through inside (-1, 1)."""
    sign = sign_of(w)
    through_mean = (sign * g).flatten(1).sum(1).reshape(-1, *[1] * (w.dim() - 1)) / w[0].numel()
    return torch.where(w.abs() >= 1, 0.0, filter_means(w) * g) + sign * through_mean


def clamp_gradient(w: Tensor, g: Tensor) -> Tensor:
    """ReActNet: through a clamp to [-1, 1], the mean held constant."""
    return torch.where(w.abs() > 1, 0.0, filter_means(w) * g)


_GRADIENTS = {"paper": paper_gradient, "exact": exact_gradient, "clamp": clamp_gradient}
GRADIENTS = tuple(_GRADIENTS)


def scaled_sign_through(w: Tensor, gradient: str) -> Tensor:
    """``mean |w| * sign(w)`` with one of :data:`GRADIENTS`."""
    result: Tensor = _ScaledSign.apply(w, gradient)
    return result
