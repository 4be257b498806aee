"""From a deployed graph to integers: weights of -1, 0 and +1, in the kernels and files of every int8 graph.

Conversion finds the two or three levels of each layer's weights (:mod:`fxpasses.quantization.numbers.levels`) and takes
their magnitude as the scale. Equalization and the pixel grid multiply the weights of each input channel by another
number, which would give more levels, so :func:`binary_config` turns both off. Lossy in the rounding of activations, as
in any int8 graph; weights are exact.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from torch import fx

from ..errors import GraphError
from ..graph.edit import has_trait
from ..graph.operators import Trait
from ..passes.fusion import fuse
from ..quantization.config import QuantConfig
from ..quantization.int8.convert import convert
from ..quantization.int8.observe import observe
from ..quantization.numbers.levels import level_scales
from ..quantization.ranges.calibration import calibrate
from ..quantization.repair_table import Phase, settings_off


def binary_config(config: QuantConfig | None = None) -> QuantConfig:
    """Return the settings with repairs turned off that would change the number of levels."""
    return replace(config or QuantConfig(), **settings_off(Phase.FLOAT))


def quantize_binary(gm: fx.GraphModule, batches: Iterable[Any], config: QuantConfig | None = None) -> fx.GraphModule:
    """Convert a deployed graph to a QUANTIZED one, with integers -1, 0 and +1 in its binary layers.

    Args:
        gm: result of :func:`fxpasses.binary.deploy`.
        batches: calibration data, from the data it was trained on.
        config: the settings; repairs that would change the number of levels are turned off.

    Raises:
        GraphError: the graph is not FLOAT, or no layer of it has weights of two or three levels.
    """
    fused = fuse(gm)
    if not binary_layers(fused):
        raise GraphError(
            "quantize_binary got a graph without binary weights",
            why="no layer's weights have two or three levels for each output",
            fix="quantize_binary(deploy(trained), batches); for other graphs fx.quantize",
            step="quantize_binary",
        )
    observed = observe(fused, binary_config(config))
    calibrate(observed, batches)
    return convert(observed)


def binary_layers(gm: fx.GraphModule) -> list[str]:
    """Nodes of a FLOAT graph whose layers have weights of two or three levels for each output."""
    layers = (node for node in gm.graph.nodes if has_trait(gm, node, Trait.BINARY))
    return [n.name for n in layers if level_scales(gm.get_submodule(str(n.target)).weight, 0) is not None]  # type: ignore[arg-type]  # layers have one
