"""Cross-layer equalization: rescale channels so that one scale suits all of a tensor's channels.

A tensor on an int8 grid has one scale, set by its widest channel; a channel a tenth as wide keeps three bits less.
Dividing channel ``c`` by ``d_c`` where it is made and multiplying by ``d_c`` where it is read leaves the function as it
is. Weights have a scale for each output channel, so the making side costs nothing; on the reading side, input channels
of one row share a scale, so ``d`` weighs activations against weights::

    d_c = r_c ** alpha / w_c ** (1 - alpha)      r_c: range of the channel, w_c: of the weights that read it

``alpha`` is chosen for each group of channels by the noise it predicts. Depthwise layers read each channel with
a row of its own: there ``alpha = 1`` is free.

Sources: Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", arXiv:1906.04721
(``alpha = 1/2``, from weights alone); Xiao et al. 2023, "SmoothQuant", arXiv:2211.10438 (measured ranges, ``alpha``).
Through a clamp to ``[0, b]`` only channels that stay below ``b`` are widened, up to ``b``: the ReLU6 of MobileNets.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from ..errors import GraphError
from ..graph_edit import module_of, with_parameters
from ..pass_runner import Change, PassLog, PassResult, Skip, copy_graph, pass_logs
from ..stages import Stage, check_stage
from .calibration import checked_batches, pieces
from .channel_labels import ChannelLabels, Channels, label_channels
from .channel_noise import ChannelGroup, ChannelRanges, best_divisors, channel_groups, input_channels
from .config import QuantConfig
from .first_samples import first_samples
from .plan import plan_quantization

SAMPLES = 64
"""Calibration samples that are looked at: ranges of channels need fewer than histograms do."""


def equalize(gm: fx.GraphModule, batches: Iterable[Any], config: QuantConfig | None = None) -> fx.GraphModule:
    """Rescale channels for quantization; the graph computes what it did, to float rounding.

    Where a clamp bounds a channel (ReLU6), values above 1.1 times the largest one seen are clipped.

    Args:
        gm: a FLOAT graph, fused. It is not changed.
        batches: calibration data, as :func:`fxpasses.calibrate` takes it; the first 64 samples are used.
        config: what will be quantized; defaults to ``QuantConfig()``.

    Raises:
        GraphError: the graph is not FLOAT.
        InputError: there is no data, or values become NaN or infinite.
    """
    check_stage(gm, Stage.FLOAT, "equalize")
    gm = copy_graph(gm)
    labels = label_channels(gm)
    config = config or QuantConfig()
    held = [t for t in plan_quantization(gm, config).roots if labels.of.get(t) is not None]
    ranges = _measure(gm, labels, {*held, *(n.all_input_nodes[0] for n in labels.reads)}, batches)
    result, divisors = PassResult(), torch.ones(labels.count, dtype=torch.float64)
    for group in channel_groups(gm, labels, held, ranges, config.weight_grid().high):
        found = best_divisors(group)
        divisors[group.labels] = found
        _tell(result, group, found)
    _rescale(gm, labels, divisors)
    pass_logs(gm).append(PassLog("equalize", result))
    return gm


def equalized(gm: fx.GraphModule, batches: Iterable[Any], config: QuantConfig) -> tuple[fx.GraphModule, Iterable[Any]]:
    """The graph, equalized if ``config`` says so, and the batches from the first one on, for calibration.

    Args:
        batches: may be an iterator; what equalization takes from it is kept for calibration.
    """
    if not config.equalization:
        return gm, batches
    first, batches = first_samples(batches, SAMPLES)
    whole = replace(config, overrides=())  # so that what one layer is left in does not change the others
    return equalize(gm, first, whole), batches


def _tell(result: PassResult, group: ChannelGroup, divisors: Tensor) -> None:
    widened = int((divisors != divisors.amax()).sum())
    if widened:
        most = float(divisors.amax() / divisors.amin())
        result.changed.append(Change(group.name, f"{widened} of {len(divisors)} channels widened, {most:.3g}x at most"))
    else:
        result.skipped.append(Skip(group.name, "its channels are as even as they can be"))


def _measure(
    gm: fx.GraphModule, labels: ChannelLabels, tensors: set[fx.Node], batches: Iterable[Any]
) -> dict[fx.Node, ChannelRanges]:
    run = _RangesOfChannels(gm, {t: labels.of[t] for t in tensors})
    seen = 0
    for inputs in checked_batches(gm, batches):
        for piece in pieces(gm, inputs):
            with torch.no_grad():
                run.run(*piece)
        seen += int(inputs[0].shape[0])
        if seen >= SAMPLES:
            break
    return {t: ChannelRanges(low, high, energy / seen) for t, (low, high, energy) in run.found.items()}


class _RangesOfChannels(fx.Interpreter):
    """Runs a graph and keeps, of some tensors, each channel's lowest and highest value and its mean square."""

    def __init__(self, gm: fx.GraphModule, channels: dict[fx.Node, Channels | None]) -> None:
        super().__init__(gm)
        self.axis = {node: c.axis for node, c in channels.items() if c is not None}
        self.found: dict[fx.Node, tuple[Tensor, Tensor, Tensor]] = {}

    def run_node(self, n: fx.Node) -> Any:
        x = super().run_node(n)
        if n in self.axis:
            others = [d for d in range(x.dim()) if d != self.axis[n]]
            low, high = x.amin(others).double(), x.amax(others).double()
            energy = x.square().mean(others).double() * x.shape[0]
            if not bool(torch.isfinite(energy).all()):
                raise GraphError.at_node(
                    n,
                    why="its values become NaN or infinite on the calibration data",
                    fix="run the float model on this data and look where its values leave the float range",
                    step="equalize",
                )
            if n in self.found:
                before = self.found[n]
                low, high, energy = torch.minimum(low, before[0]), torch.maximum(high, before[1]), energy + before[2]
            self.found[n] = low, high, energy
        return x


def _rescale(gm: fx.GraphModule, labels: ChannelLabels, divisors: Tensor) -> None:
    """Write the divisors into the weights: rows are divided, columns multiplied."""
    for node in dict.fromkeys([*labels.makes, *labels.reads]):
        layer = module_of(gm, node, nn.Module)
        weight = layer.weight.detach().double()  # type: ignore[operator]  # a layer has a weight
        flat = weight.reshape(len(weight), -1)
        bias: Tensor | None = None if layer.bias is None else layer.bias.detach().double()  # type: ignore[operator]  # or None
        if node in labels.reads:
            read = divisors[list(labels.reads[node])][input_channels(layer, len(labels.reads[node]))]
            flat = flat * read.repeat_interleave(flat.shape[1] // read.shape[1], dim=1)
        if node in labels.makes:
            made = divisors[list(labels.makes[node])]
            flat = flat / made[:, None]
            bias = None if bias is None else bias / made
        parameters = {"weight": flat.reshape(weight.shape).float(), "bias": None if bias is None else bias.float()}
        gm.set_submodule(str(node.target), with_parameters(layer, **parameters))
