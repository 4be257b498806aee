"""Small unusual nets: every pass and every exporter is tried on all of them.

Sizes are odd, ``C_in != C_out``, ``H != W``, the batch is 2, running statistics are settled, everything is in eval
mode and takes milliseconds. ``TINY`` holds what must work or be skipped with a reason; ``REFUSED`` what must be
refused, or captured only in the way its name says.
"""

from __future__ import annotations

from tiny_nets.activations import ACTIVATIONS
from tiny_nets.arithmetic import ARITHMETIC
from tiny_nets.blocks import BLOCKS
from tiny_nets.convolutions import CONVOLUTIONS
from tiny_nets.net import TinyNet, by_name
from tiny_nets.refused import REFUSED_NETS
from tiny_nets.shapes import SHAPES
from tiny_nets.sharing import SHARING

__all__ = ["REFUSED", "TINY", "TinyNet"]

TINY: dict[str, TinyNet] = by_name((*CONVOLUTIONS, *ACTIVATIONS, *ARITHMETIC, *SHARING, *SHAPES, *BLOCKS))
REFUSED: dict[str, TinyNet] = by_name(REFUSED_NETS)
