"""Gradients through rounding to binary and ternary values, as in each paper.

Weights: BinaryConnect and TWN pass the gradient of the binary weight to the real one. XNOR-Net's paper scales it::

    g * (m + 1/n) * (1 - 1/c_in) * n        m = mean |w|, 0 where |w| >= 1;  n weights to an output, c_in channels

This is not the derivative of ``mean |w| * sign(w)``, because a weight also changes the mean of all others. The
derivative is::

    m * g + sign(w) * sum(sign(w) * g) / n

ReActNet takes the derivative of ``mean |w| * w`` inside [-1, 1], with a constant mean. Inputs: XNOR-Net passes the
gradient on inside (-1, 1); Bi-Real Net uses the derivative of a piecewise parabola, ``2 - 2 |x|``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..graph.binary_ops import sign_of
from .rules import filter_means, scaled_sign


class _Identity(torch.autograd.Function):
    """Return the second tensor in the forward pass, and pass the whole gradient to the first."""

    @staticmethod
    def forward(ctx: Any, real: Tensor, rounded: Tensor) -> Tensor:
        return rounded.view_as(rounded)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0], None


def straight_through(real: Tensor, rounded: Tensor) -> Tensor:
    """Return ``rounded``; its gradient is passed to ``real`` unchanged."""
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
    """Gradient of XNOR-Net's paper and its authors' code."""
    n, c_in = w[0].numel(), w.shape[1]
    m = torch.where(w.abs() >= 1, 0.0, filter_means(w))
    return g * (m + 1 / n) * (1 - 1 / c_in) * n


def exact_gradient(w: Tensor, g: Tensor) -> Tensor:
    """Derivative of ``mean |w| * sign(w)``, with the sign straight through inside (-1, 1)."""
    sign = sign_of(w)
    through_mean = (sign * g).flatten(1).sum(1).reshape(-1, *[1] * (w.dim() - 1)) / w[0].numel()
    return torch.where(w.abs() >= 1, 0.0, filter_means(w) * g) + sign * through_mean


def clamp_gradient(w: Tensor, g: Tensor) -> Tensor:
    """Gradient of ReActNet: through a clamp to [-1, 1], with a constant mean."""
    return torch.where(w.abs() > 1, 0.0, filter_means(w) * g)


_GRADIENTS = {"paper": paper_gradient, "exact": exact_gradient, "clamp": clamp_gradient}
GRADIENTS = tuple(_GRADIENTS)


def scaled_sign_through(w: Tensor, gradient: str) -> Tensor:
    """Compute ``mean |w| * sign(w)``, with one of :data:`GRADIENTS` as gradient."""
    result: Tensor = _ScaledSign.apply(w, gradient)
    return result
