"""The scale and zero_point of tensors of pixels, which pixel alignment marks and conversion reads."""

from __future__ import annotations

from torch import fx

from ..config import QuantConfig
from ..numbers import ops
from ..numbers.qparams import QParams

LEVELS = 255
"""The largest value of a pixel."""


def pixel_qparams(node: fx.Node, config: QuantConfig) -> QParams | None:
    """Parameters of a tensor of pixels; None for any other tensor."""
    if node.target is not ops.pixels:
        return None
    rest = node.args[3]
    assert isinstance(rest, float)
    return QParams(1.0, LEVELS - int(rest), config.activation_grid)
