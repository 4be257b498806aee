"""The operator ``fxpasses::sign``: +1 for values >= 0, else -1, with the gradient used to train binary networks.

Registered with ``torch.library``, so that graphs, ``.pt2`` files and exporters keep it as one operator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_LIBRARY = torch.library.Library("fxpasses", "FRAGMENT")
_LIBRARY.define("sign(Tensor x, bool smooth=False) -> Tensor")


def _sign(x: Tensor, smooth: bool = False) -> Tensor:
    return sign_of(x)


def _sign_fake(x: Tensor, smooth: bool = False) -> Tensor:
    return torch.empty_like(x)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    ctx.save_for_backward(inputs[0])
    ctx.smooth = inputs[1] if len(inputs) > 1 else False


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
    (x,) = ctx.saved_tensors
    size = x.abs()
    slope = (2 - 2 * size).clamp(min=0) if ctx.smooth else (size < 1).to(x.dtype)
    return gradient * slope, None


_LIBRARY.impl("sign", _sign, "CompositeExplicitAutograd")
torch.library.register_fake("fxpasses::sign", _sign_fake, lib=_LIBRARY)
torch.library.register_autograd("fxpasses::sign", _backward, setup_context=_keep, lib=_LIBRARY)

sign: Callable[..., Tensor] = torch.ops.fxpasses.sign.default
"""Operator ``(x, smooth=False) -> -1 or +1``, same shape.

Its gradient is passed on where |x| < 1 (XNOR-Net); with ``smooth`` it is multiplied by ``2 - 2 |x|`` there (Bi-Real
Net).
"""


def sign_of(x: Tensor) -> Tensor:
    """-1 or +1 for each value, in its dtype; +1 for 0.0 and -0.0."""
    return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)
