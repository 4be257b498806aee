"""Round the layers of a block one after the other, each for what the layers before it have become.

The arithmetic is in :mod:`fxpasses.quantization.compensated_rounding`; this gathers the inputs it needs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from ..graph_edit import module_of
from .blocks import part
from .compensated_rounding import DAMPING, compensated_rounding
from .convert import LAYER
from .input_moments import Moments
from .layer_inputs import input_columns
from .learned_integers import LearnedBias, LearnedWeight

POSITIONS = 64
"""Output positions looked at in each sample, at least."""
SAMPLES_TO_AN_INPUT = 8
"""Positions looked at for each input of a row, in all samples together, at least."""
PIECE = 16
JUDGING = 0.25
"""Share of the samples that are not learned from until it is settled how far to believe the others."""


def round_layers(
    exact: fx.GraphModule,
    integer: fx.GraphModule,
    float_in: Sequence[Tensor],
    int8_in: Sequence[Tensor],
    generator: torch.Generator,
) -> None:
    """Settle weights and biases of a block, in order; layers of other kinds than those below keep theirs.

    Args:
        exact, integer: the block in float, and its trainable twin.
        float_in, int8_in: what they read, all samples.
        generator: chooses positions.
    """
    layers = {n.name: n for n in exact.graph.nodes if n.op == "call_module"}
    for node in integer.graph.nodes:
        weight = _learned(integer, node, 1)
        if isinstance(weight, LearnedWeight) and weight.axis == 0:
            inputs = _Inputs(exact, integer, layers[node.args[1].meta[LAYER]], node)
            _round(inputs, weight, _learned(integer, node, 2), float_in, int8_in, generator)


def _learned(integer: fx.GraphModule, node: fx.Node, place: int) -> nn.Module | None:
    """The parameter that a layer's argument is."""
    argument = node.args[place] if node.op == "call_function" and len(node.args) > place else None
    if not isinstance(argument, fx.Node) or argument.op != "call_module":
        return None
    return integer.get_submodule(str(argument.target))


class _Inputs:
    """What a layer reads in both graphs, as columns."""

    def __init__(self, exact: fx.GraphModule, integer: fx.GraphModule, layer: fx.Node, node: fx.Node) -> None:
        self.layer, self.node = module_of(exact, layer, nn.Module), node
        sides = [(exact, layer.args[0]), (integer, node.args[0])]
        self.sides = [part(gm, [n for n in gm.graph.nodes if n.op == "placeholder"], x) for gm, x in sides]

    def columns(
        self, weight: Tensor, float_in: Sequence[Tensor], int8_in: Sequence[Tensor]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Of both, ``[G, K, N * positions]``, in pieces; nothing for a layer that has no columns."""
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
    inputs: _Inputs,
    weight: LearnedWeight,
    bias: nn.Module | None,
    float_in: Sequence[Tensor],
    int8_in: Sequence[Tensor],
    generator: torch.Generator,
) -> None:
    found = _both_moments(inputs.columns(weight.real, float_in, int8_in), len(float_in[0]), generator)
    if found is None:
        return
    learned, judging = found
    groups, width = learned.exact.shape
    weight.regroup(_importance(learned + judging, weight))
    multiples = weight.multiples.reshape(groups, -1, width)
    rows = weight.real.reshape(groups, -1, width) * multiples
    size = weight.channel_scale.reshape(groups, -1)
    rounded, _ = compensated_rounding(rows, learned, judging, weight.grid, size, multiples)
    weight.start_at(rounded.reshape(weight.real.shape).float())
    if isinstance(bias, LearnedBias):
        exact_mean, integer_mean = (mean.unsqueeze(2) for mean in (learned + judging).means())
        missing = (rows.double() @ exact_mean - rounded @ integer_mean).flatten()
        own: Tensor | None = inputs.layer.bias  # type: ignore[assignment]  # layers have one, or None
        total = missing * weight.channel_scale.double()
        bias.start_at((total if own is None else total + own.double()).float())


def _importance(moments: Moments, weight: LearnedWeight) -> Tensor:
    """Of each weight's error for its output: the variance of its input."""
    power = moments.centred()[0].diagonal(dim1=1, dim2=2)
    power = power + power.mean(1, keepdim=True) * DAMPING
    rows = len(weight.in_scales) // len(power)
    return power.unsqueeze(1).expand(-1, rows, -1).reshape(weight.in_scales.shape)


def _both_moments(
    pieces: Iterable[tuple[Tensor, Tensor]], samples: int, generator: torch.Generator
) -> tuple[Moments, Moments] | None:
    """Of the samples learned from, and of the last ones of every piece, which judge."""
    found: tuple[Moments, Moments] | None = None
    for exact, integer in pieces:
        _, width, positions = exact.shape
        wanted = max(POSITIONS, math.ceil(SAMPLES_TO_AN_INPUT * width / samples)) * PIECE
        chosen = torch.randperm(positions, generator=generator)[:wanted]
        is_judging = chosen >= positions * (1 - JUDGING)
        if found is None:
            shift = integer[:, :, chosen].mean(2, keepdim=True)
            found = Moments.around(shift), Moments.around(shift)
        for moments, mine in zip(found, (chosen[~is_judging], chosen[is_judging]), strict=True):
            moments.take_in(exact[:, :, mine], integer[:, :, mine])
    return found if found is not None and all(m.count for m in found) else None
