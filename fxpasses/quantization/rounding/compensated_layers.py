"""Round the layers of a block one after the other, each with the outputs of the rounded layers before it.

The arithmetic is in :mod:`fxpasses.quantization.rounding.compensated_rounding`; this module collects its inputs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from ...graph.cuts import part
from ...graph.edit import module_of
from ...graph.meta_keys import LAYER
from .compare_outputs import OutputErrors
from .compensated_rounding import DAMPING, compensated_rounding
from .input_moments import Moments
from .layer_inputs import input_columns
from .learned_integers import LearnedBias, LearnedWeight

POSITIONS = 64
"""Fewest output positions used per sample."""
SAMPLES_TO_AN_INPUT = 8
"""Fewest positions used for each input of a row, over all samples."""
PIECE = 16
HELD_OUT = 0.25
"""Share of the samples that are held out from learning until the weight of the statistics is chosen."""


def round_layers(
    exact: fx.GraphModule,
    integer: fx.GraphModule,
    float_in: Sequence[Tensor],
    int8_in: Sequence[Tensor],
    generator: torch.Generator,
) -> None:
    """Choose the integers of a block's weights and biases, layer by layer; other kinds of layers are not changed.

    Args:
        exact, integer: the block in float, and its trainable twin.
        float_in, int8_in: their inputs, all samples.
        generator: chooses positions.
    """
    layers = {n.name: n for n in exact.graph.nodes if n.op == "call_module"}
    for node in integer.graph.nodes:
        weight = _learned(integer, node, 1)
        if isinstance(weight, LearnedWeight) and weight.axis == 0:
            layer = layers[node.args[1].meta[LAYER]]
            inputs = _Inputs(exact, integer, layer, node)
            moments = _moments(inputs, weight.real, float_in, int8_in, generator)
            if moments is not None:
                held_out = slice(learned_from(len(float_in[0])) % len(float_in[0]), None)
                compared = ([x[held_out] for x in side] for side in (float_in, int8_in))
                errors_of = OutputErrors(exact, integer, layer, node, *compared)
                _round(inputs.layer, weight, _learned(integer, node, 2), *moments, errors_of)


def learned_from(samples: int) -> int:
    """Number of samples used for learning; the others are held out. A single sample is used for both."""
    return math.ceil(samples * (1 - HELD_OUT))


def _learned(integer: fx.GraphModule, node: fx.Node, place: int) -> nn.Module | None:
    """The learned parameter behind an argument of a layer; None if there is none."""
    argument = node.args[place] if node.op == "call_function" and len(node.args) > place else None
    if not isinstance(argument, fx.Node) or argument.op != "call_module":
        return None
    return integer.get_submodule(str(argument.target))


class _Inputs:
    """Inputs of a layer in the float graph and in the int8 graph, as columns."""

    def __init__(self, exact: fx.GraphModule, integer: fx.GraphModule, layer: fx.Node, node: fx.Node) -> None:
        self.layer, self.node = module_of(exact, layer, nn.Module), node
        sides = [(exact, layer.args[0]), (integer, node.args[0])]
        self.sides = [part(gm, [n for n in gm.graph.nodes if n.op == "placeholder"], x) for gm, x in sides]

    def columns(
        self, weight: Tensor, float_in: Sequence[Tensor], int8_in: Sequence[Tensor]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs of both graphs, ``[G, K, N * positions]``, in pieces; nothing for a layer that has no columns."""
        pieces = zip(*(x.split(PIECE) for x in (*float_in, *int8_in)), strict=True)
        for piece in pieces:
            inputs = (piece[: len(float_in)], piece[len(float_in) :])
            found: list[Any] = [
                input_columns(self.node.target, side(*x), weight, dict(self.node.kwargs))
                for side, x in zip(self.sides, inputs, strict=True)
            ]
            if found[0] is None:
                return
            yield found[0], found[1]


@torch.no_grad()
def _round(
    layer: nn.Module,
    weight: LearnedWeight,
    bias: nn.Module | None,
    learned: Moments,
    everything: Moments,
    errors_of: OutputErrors,
) -> None:
    groups, width = everything.exact.shape
    weight.regroup(_importance(everything, weight))
    multiples = weight.multiples.reshape(groups, -1, width)
    rows = (weight.real.reshape(groups, -1, width) * multiples).double()

    def settle(rounded: Tensor, moments: Moments) -> None:
        weight.start_at(rounded.reshape(weight.real.shape).float())
        if isinstance(bias, LearnedBias):
            exact_mean, integer_mean = (mean.unsqueeze(2) for mean in moments.means())
            missing = (rows @ exact_mean - rounded @ integer_mean).flatten()
            own = layer.bias
            assert own is None or isinstance(own, Tensor)  # every kind of layer that has columns has one of these
            total = missing * weight.channel_scale.double()
            bias.start_at((total if own is None else total + own.double()).float())

    def off(rounded: Tensor) -> Tensor:
        settle(rounded, learned)
        return errors_of().reshape(groups, -1)

    found, _ = compensated_rounding(rows, learned, everything, weight.grid, multiples, off)
    settle(found, everything)


def _importance(moments: Moments, weight: LearnedWeight) -> Tensor:
    """Factor of each weight's error in the error of its output: the variance of its input."""
    power = moments.centred()[0].diagonal(dim1=1, dim2=2)
    power = power + power.mean(1, keepdim=True) * DAMPING
    rows = len(weight.in_scales) // len(power)
    return power.unsqueeze(1).expand(-1, rows, -1).reshape(weight.in_scales.shape)


def _moments(
    inputs: _Inputs, weight: Tensor, float_in: Sequence[Tensor], int8_in: Sequence[Tensor], generator: torch.Generator
) -> tuple[Moments, Moments] | None:
    """Moments of the samples for learning, and of all samples; None for a layer that has no columns."""
    samples = len(float_in[0])
    parts = [slice(0, learned_from(samples)), slice(learned_from(samples), samples)]
    sums: list[Moments] = []
    for part_of in [p for p in parts if p.start < p.stop]:
        mine: Moments | None = None
        for exact, integer in inputs.columns(weight, [x[part_of] for x in float_in], [x[part_of] for x in int8_in]):
            _, width, positions = exact.shape
            wanted = max(POSITIONS, math.ceil(SAMPLES_TO_AN_INPUT * width / samples)) * PIECE
            chosen = torch.randperm(positions, generator=generator)[:wanted]
            if mine is None:
                mine = Moments.around(sums[0].shift if sums else integer[:, :, chosen].mean(2, keepdim=True))
            mine.take_in(exact[:, :, chosen], integer[:, :, chosen])
        if mine is None:
            return None
        sums.append(mine)
    return sums[0], sums[0] if len(sums) == 1 else sums[0] + sums[1]
