"""Cross-layer equalization: rescale channels so that one scale suits all of a tensor's channels.

An int8 tensor has one scale, set by its widest channel; a channel a tenth as wide has three bits less. Dividing channel
``c`` by ``d_c`` in the layer that computes it and multiplying by ``d_c`` in the layers that read it does not change the
function. Weights have per-channel scales for outputs, so the division costs no accuracy; the input channels of one row
share a scale, so ``d`` is a compromise between activations and weights::

    d_c = r_c ** alpha / w_c ** (1 - alpha)      r_c: range of the channel, w_c: of the weights that read it

For each group of channels the ``alpha`` with the least predicted noise is chosen, and ``d`` is improved by gradient
descent. In depthwise layers each channel has a row of its own, so ``alpha = 1`` costs nothing.

Sources: Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", arXiv:1906.04721
(``alpha = 1/2``, from weights alone); Xiao et al. 2023, "SmoothQuant", arXiv:2211.10438 (measured ranges, ``alpha``).
Through a clamp to ``[0, b]`` only channels that stay below ``b`` are widened, up to ``b``: the ReLU6 of MobileNets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx

from ...graph.pass_runner import Change, PassLog, PassResult, Skip, pass_logs
from ..config import QuantConfig
from ..repair_steps import FloatStep
from .channel_noise import ChannelGroup
from .channel_rescaling import SAMPLES, ScalableGraph
from .divisor_search import best_divisors


def equalize(gm: fx.GraphModule, batches: Iterable[Any], config: QuantConfig | None = None) -> fx.GraphModule:
    """Rescale channels for quantization; the graph's results stay the same up to float rounding.

    Where a clamp bounds a channel (ReLU6), values above 1.1 times the largest one seen are clipped.

    Args:
        gm: a FLOAT graph, fused. It is not changed.
        batches: calibration data, as :func:`fxpasses.calibrate` takes it; the first 64 samples are used.
        config: settings of the quantization; defaults to ``QuantConfig()``.

    Raises:
        GraphError: the graph is not FLOAT.
        InputError: there is no data, or values become NaN or infinite.
    """
    config = config or QuantConfig()
    with torch.inference_mode(False):  # its tensors could not be differentiated
        scalable = ScalableGraph.of(gm, batches, config, "equalize")
        result, divisors = PassResult(), torch.ones(scalable.labels.count, dtype=torch.float64)
        all_found = best_divisors(scalable.groups, descend=config.group_size is None)  # the model knows no groups
        for group, found in zip(scalable.groups, all_found, strict=True):
            divisors[group.labels] = found
            _tell(result, group, found)
        scalable.rescale(divisors)
    pass_logs(scalable.gm).append(PassLog("equalize", result))
    return scalable.gm


def _as_set(gm: fx.GraphModule, first: Sequence[Any], config: QuantConfig) -> fx.GraphModule:
    return equalize(gm, first, replace(config, overrides=()))  # a layer left in float does not change the others


STEP = FloatStep(_as_set, SAMPLES)


def _tell(result: PassResult, group: ChannelGroup, divisors: Tensor) -> None:
    widened = int((divisors != divisors.amax()).sum())
    if widened:
        most = float(divisors.amax() / divisors.amin())
        result.changed.append(Change(group.name, f"{widened} of {len(divisors)} channels widened, {most:.3g}x at most"))
    else:
        result.skipped.append(Skip(group.name, "its channels are as even as they can be"))
