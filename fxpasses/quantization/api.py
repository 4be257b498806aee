"""The public calls of static quantization, step by step, and ``quantize``, which does all steps in one call."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, fx, nn

from ..capturing.attempts import capture
from ..capturing.dynamic_sizes import Dynamic
from ..passes.fusion import fuse
from .all_float import all_float_warning
from .config import Override, QuantConfig
from .int8.convert import convert
from .int8.observe import observe
from .ranges.calibration import calibrate
from .recipe import quantize_graph
from .repairs.equalization import equalize
from .repairs.observer_sweep import sweep_observers
from .repairs.output_noise import narrow_ranges
from .repairs.pixel_grid import align_pixels
from .repairs.reestimation import reestimate
from .repairs.smoothing import smooth
from .rounding.learned_rounding import learn_rounding

__all__ = [
    "Override",
    "QuantConfig",
    "align_pixels",
    "calibrate",
    "convert",
    "equalize",
    "learn_rounding",
    "narrow_ranges",
    "observe",
    "quantize",
    "reestimate",
    "smooth",
    "sweep_observers",
]


def quantize(
    model: nn.Module,
    example_inputs: Tensor | tuple[Any, ...] | Mapping[str, Any],
    batches: Iterable[Any],
    config: QuantConfig | None = None,
    *,
    dynamic: Dynamic | None = None,
) -> fx.GraphModule:
    """Quantize a float model in one call: capture, fuse, then the steps of :mod:`fxpasses.quantization.recipe`.

    Args:
        model: in eval mode; it is not changed.
        example_inputs: a tensor, a tuple of the model's inputs, or a dict of them by name.
        batches: calibration data: tensors, tuples of the model's inputs, or dicts of them by name; a DataLoader of
            ``(images, labels)`` will do as it is.
        config: defaults to ``QuantConfig()``: int8 for x86.
        dynamic: dimensions that are free beside the batch, as :func:`capture` takes them.

    A model of which nothing runs in int8 is returned with a warning that gives the reasons.

    Raises:
        GraphError, InputError: in the same cases as :func:`capture`, :func:`calibrate` and :func:`convert`.
    """
    graph = fuse(capture(model, example_inputs, dynamic=dynamic))
    quantized = quantize_graph(graph, batches, config or QuantConfig()).graph
    if (warning := all_float_warning(quantized)) is not None:
        warnings.warn(warning, stacklevel=2)
    return quantized
