"""Bits of each layer's weights and input in training.

An override of the caller's comes first, then the bits for first and last layers, then those for the rest. A layer is
first if there is no other layer before it, and last if there is none after it. Layers made only by lowering (a
BatchNorm as a convolution, a shortcut's padding) keep 8 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torch import fx

from ..graph.pass_runner import pass_logs
from ..quantization.config import LARGEST_BITS
from ..quantization.int8.plan import Plan
from .config import TrainingConfig

MADE_BY_LOWERING = ("batch_norm_to_conv", "channel_pad_to_conv")
"""Passes that replace operators without weights by layers."""


@dataclass(frozen=True)
class LayerBits:
    """Bits of one layer's weight, and of its input."""

    weight: int
    input: int


def layers_of(plan: Plan) -> list[fx.Node]:
    """The int8 layers of a plan, in order."""
    return [node for node, operator in plan.int8.items() if operator.weight_axis is not None]


def bits_of_layers(gm: fx.GraphModule, plan: Plan, config: TrainingConfig) -> dict[str, LayerBits]:
    """Bits of every int8 layer by the name of its node."""
    layers, made = layers_of(plan), made_by_lowering(gm)
    real = {n for n in layers if n.target not in made}
    ends = _without(real, lambda n: n.all_input_nodes) | _without(real, lambda n: n.users)
    found = {}
    for node in layers:
        own = config.end_bits if node in ends else config.weight_bits
        read = config.end_bits if node in ends else config.activation_bits
        if node not in real:
            own = read = LARGEST_BITS
        spelled = [o.weight_bits for o in config.quant.overrides if o.weight_bits and o.matches(gm, node)]
        found[node.name] = LayerBits(spelled[-1] if spelled else own, read)
    return found


def made_by_lowering(gm: fx.GraphModule, passes: Iterable[str] = MADE_BY_LOWERING) -> set[str]:
    """Paths of the layers that these passes added to a graph."""
    changes = [c for log in pass_logs(gm) if log.name in tuple(passes) for c in log.result.changed]
    return {c.made for c in changes if c.made is not None}


def _without(layers: set[fx.Node], onwards: Callable[[fx.Node], Iterable[fx.Node]]) -> set[fx.Node]:
    """Layers from which no other one is reached."""
    return {layer for layer in layers if not _reaches(layer, layers, onwards)}


def _reaches(start: fx.Node, wanted: set[fx.Node], onwards: Callable[[fx.Node], Iterable[fx.Node]]) -> bool:
    waiting, seen = list(onwards(start)), set()
    while waiting:
        node = waiting.pop()
        if node in wanted:
            return True
        if node not in seen:
            seen.add(node)
            waiting.extend(onwards(node))
    return False
