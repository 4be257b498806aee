"""Small awkward nets: every pass and every exporter is tried on all of them.

Sizes are odd, ``C_in != C_out``, ``H != W``, the batch is 2, running statistics are settled, everything is in eval
mode and takes milliseconds. ``TINY`` holds what must work or be skipped with a reason; ``REFUSED`` what must be
refused, or captured only in the way its name says.
"""

from __future__ import annotations

from .tiny_activations import ACTIVATIONS
from .tiny_arithmetic import ARITHMETIC
from .tiny_blocks import BLOCKS
from .tiny_convolutions import CONVOLUTIONS
from .tiny_net import TinyNet, by_name
from .tiny_refused import REFUSED_NETS
from .tiny_shapes import SHAPES
from .tiny_sharing import SHARING

__all__ = ["REFUSED", "TINY", "TinyNet"]

TINY: dict[str, TinyNet] = by_name((*CONVOLUTIONS, *ACTIVATIONS, *ARITHMETIC, *SHARING, *SHAPES, *BLOCKS))
REFUSED: dict[str, TinyNet] = by_name(REFUSED_NETS)
