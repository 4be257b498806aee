"""Divide the output channels of layers and multiply them in the layers that read them: shared code of two repairs.

Equalization and smoothing both keep the function and differ in their divisors. The channels to rescale together are
found by :mod:`fxpasses.quantization.repairs.channel_labels`; this module measures their ranges and writes the divisors
into the weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from ...errors import GraphError
from ...graph.edit import module_of, with_parameters
from ...graph.pass_runner import copy_graph
from ...graph.stages import Stage, check_stage
from ...signature.samples import count_samples
from ..config import QuantConfig
from ..int8.float32_layers import require_float32
from ..int8.plan import plan_quantization
from ..ranges.activations_in_place import with_activations_in_place
from ..ranges.calibration import checked_batches, pieces
from .channel_labels import ChannelLabels, Channels, label_channels
from .channel_noise import ChannelGroup, ChannelRanges, channel_groups, input_channels

SAMPLES = 64
"""Number of calibration samples used: ranges of channels need fewer samples than histograms."""


@dataclass(frozen=True)
class ScalableGraph:
    """A copy of a FLOAT graph, and its groups of channels that can be rescaled together.

    Attributes:
        labels: labels of its channels.
        ranges: ranges of the tensors that will be int8, and of the inputs of layers.
        groups: labels that share tensors; one divisor for each label.
    """

    gm: fx.GraphModule
    labels: ChannelLabels
    ranges: Mapping[fx.Node, ChannelRanges]
    groups: list[ChannelGroup]

    @classmethod
    def of(cls, gm: fx.GraphModule, batches: Iterable[Any], config: QuantConfig, step: str) -> ScalableGraph:
        """Label the channels of a graph and measure their ranges.

        Args:
            batches: calibration data, as :func:`fxpasses.calibrate` takes it; the first 64 samples are used.
            config: settings of the quantization.
            step: name of the step for errors.

        Raises:
            GraphError: the graph is not FLOAT.
            InputError: there is no data, or values become NaN or infinite.
        """
        check_stage(gm, Stage.FLOAT, step)
        require_float32(gm, step)
        gm = copy_graph(gm)
        labels = label_channels(gm)
        held = [t for t in plan_quantization(gm, config).roots if labels.of.get(t) is not None]
        tensors = {*held, *(n.all_input_nodes[0] for n in labels.reads)}
        ranges = _measure(gm, {t: labels.of[t] for t in tensors}, batches, step)
        return cls(gm, labels, ranges, channel_groups(gm, labels, held, ranges, config.weight_grid().high))

    def rescale(self, divisors: Tensor) -> None:
        """Write the divisors, one for each label, into the weights: rows are divided, columns multiplied."""
        for node in dict.fromkeys([*self.labels.makes, *self.labels.reads]):
            layer = module_of(self.gm, node, nn.Module)
            own = {name: p.detach().double() for name, p in layer.named_parameters(recurse=False)}
            weight, bias = own["weight"], own.get("bias")
            if node in self.labels.reads:
                weight = times_columns(layer, weight, divisors[list(self.labels.reads[node])])
            if node in self.labels.makes:
                made = divisors[list(self.labels.makes[node])]
                weight = weight / made.reshape(-1, *[1] * (weight.dim() - 1))
                bias = None if bias is None else bias / made
            parameters = {"weight": weight.float(), "bias": None if bias is None else bias.float()}
            self.gm.set_submodule(str(node.target), with_parameters(layer, **parameters))


def times_columns(layer: nn.Module, weight: Tensor, factors: Tensor) -> Tensor:
    """Multiply the entries of a layer's weight that read input channel ``c`` by ``factors[c]``."""
    flat = weight.reshape(len(weight), -1)
    read = factors[input_channels(layer, len(factors))]
    return (flat * read.repeat_interleave(flat.shape[1] // read.shape[1], dim=1)).reshape(weight.shape)


def _measure(
    gm: fx.GraphModule, channels: Mapping[fx.Node, Channels | None], batches: Iterable[Any], step: str
) -> dict[fx.Node, ChannelRanges]:
    fast, twin = with_activations_in_place(gm)
    run = _RangesOfChannels(fast, {twin[node]: c for node, c in channels.items()}, step)
    seen = 0
    for inputs in checked_batches(gm, batches):
        for piece in pieces(gm, inputs):
            with torch.no_grad():
                run.run(*piece)
        seen += count_samples(gm, inputs)
        if seen >= SAMPLES:
            break
    found = {node: run.found[twin[node]] for node, c in channels.items() if c is not None}
    return {node: ChannelRanges(low.double(), high.double(), e / seen) for node, (low, high, e) in found.items()}


class _RangesOfChannels(fx.Interpreter):
    """Run a graph and record each channel's lowest and highest value and its mean square, for some tensors."""

    def __init__(self, gm: fx.GraphModule, channels: Mapping[fx.Node, Channels | None], step: str) -> None:
        super().__init__(gm)
        self.step = step
        self.axis = {node: c.axis for node, c in channels.items() if c is not None}
        self.found: dict[fx.Node, tuple[Tensor, Tensor, Tensor]] = {}

    def run_node(self, n: fx.Node) -> Any:
        x = super().run_node(n)
        if n in self.axis:
            low, high = _extremes(x, self.axis[n])
            squares = _sums_of_squares(x, self.axis[n])
            if not math.isfinite(squares.sum().item()):
                raise GraphError.at_node(
                    n,
                    why="its values become NaN or infinite on the calibration data",
                    fix="run the float model on this data and look where its values leave the float range",
                    step=self.step,
                )
            energy = squares.double() * (len(low) * x.shape[0] / x.numel())
            if n in self.found:
                before = self.found[n]
                torch.minimum(low, before[0], out=low)
                torch.maximum(high, before[1], out=high)
                energy += before[2]
            self.found[n] = low, high, energy
        return x


def _extremes(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """The lowest and the highest value of each channel."""
    rows = x.movedim(axis, -1)
    if rows.dim() > 3 and rows.is_contiguous():  # channels last: torch takes six times as long over all rows at once
        rows = rows.flatten(0, -3)
        return rows.amin(0).amin(0), rows.amax(0).amax(0)
    others = [d for d in range(x.dim()) if d != axis]
    return x.amin(others), x.amax(others)


def _sums_of_squares(x: Tensor, axis: int) -> Tensor:
    """Sum of squares of each channel, computed one sample at a time to need less memory."""
    inside = [d - 1 for d in range(1, x.dim()) if d != axis]
    squares = [sample.square().sum(inside) if inside else sample.square() for sample in x]
    return torch.stack(squares).sum(0)
