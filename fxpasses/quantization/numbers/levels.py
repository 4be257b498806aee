"""Weights that already lie on a grid of two or three levels: ``s * {-1, +1}`` or ``s * {-1, 0, +1}`` for each output.

Networks trained with binary or ternary weights have them, also after the folding of BatchNorm, which multiplies each
output's weights by one number. With the scale ``s`` their integers are -1, 0 and +1, so nothing is rounded. Exact.
"""

from __future__ import annotations

import torch
from torch import Tensor

FEWEST = 16
"""Fewest nonzero weights in each output that has any; equal magnitudes of fewer weights may be a coincidence."""


def level_scales(weight: Tensor, axis: int) -> Tensor | None:
    """The scale of each index of ``axis``, float32; None if the weights have more than three levels.

    An output with zero weights only gets the mean scale of the others.
    """
    if weight.dim() < 2 or not weight.numel():
        return None
    rows = weight.detach().transpose(0, axis).flatten(1)
    magnitudes = rows.abs()
    largest = magnitudes.amax(1, keepdim=True)
    kept = magnitudes != 0
    some = kept.any(1)
    if not bool(some.any()) or not bool((kept.sum(1)[some] >= FEWEST).all()):
        return None
    if not bool(torch.where(kept, magnitudes == largest, True).all()) or not bool(torch.isfinite(largest).all()):
        return None
    scales = largest[:, 0].float()
    return torch.where(some, scales, scales[some].mean())
