"""Sets the scales of a converted graph's layers to the learned ones, moved to the nearest values without rounding ties.

They replace the scales chosen by the conversion, in the QUANTIZED graph; weights and biases are then rounded again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from ...graph.edit import module_of
from ...graph.meta_keys import LAYER
from ...graph.ownership import replace_buffer
from ...quantization.config import QuantConfig
from ...quantization.int8.int8_calls import LAYER_FUNCTIONS, find_int8_calls, qparams_of
from ...quantization.int8.weights import LARGEST_BIAS
from ...quantization.numbers import ops
from ...quantization.numbers.qparams import IntType, QParams
from ...quantization.numbers.tie_free import SMALLEST_PROVABLE, tie_free_multipliers
from ..fake.trained_layer import Folded

_DEAD = 2.0**-20
"""Limit of a dead channel's step, as a share of the layer's median. Its step becomes the median, its weights zero."""


@dataclass(frozen=True)
class SettledLayer:
    """One layer of a QUANTIZED graph.

    Attributes:
        node: its name in the float graph.
        function, settings: the function it calls, and its keywords.
        weight, bias: values before rounding, in steps of their scales: float32.
        scale: scale of the weight, float32, along ``axis``.
        grid: grid of the weight.
        x: quantization parameters of its input.
        learns: whether its weights are those of the model.
        buffers: paths of weight and bias in the QUANTIZED graph; the second is None without a bias.
    """

    node: str
    function: Callable[..., Tensor]
    settings: dict[str, Any]
    weight: Tensor
    bias: Tensor | None
    scale: Tensor
    axis: int
    grid: IntType
    x: QParams
    learns: bool
    buffers: tuple[str, str | None]


def settle_layers(
    int8: fx.GraphModule, exact: fx.GraphModule, folded: Mapping[str, Folded], quant: QuantConfig
) -> dict[str, SettledLayer]:
    """Settle every layer of a QUANTIZED graph, in place; return the layers by the name of their node there.

    Args:
        exact: the float graph it was converted from.
        folded: the layers with learned steps, by their path in the float graph.
    """
    sources = {n.name: n for n in exact.graph.nodes}
    outputs = {call.node: call.y for call in find_int8_calls(int8).values()}
    found = {}
    for node in int8.graph.nodes:
        if node.target in LAYER_FUNCTIONS and _reads_integers(node):
            source = sources[node.args[1].meta[LAYER]]
            learned = folded.get(str(source.target))
            settled = _settled(int8, exact, node, source, learned, outputs.get(node), quant)
            write_layer(int8, settled)
            found[node.name] = settled
    return found


def write_layer(int8: fx.GraphModule, layer: SettledLayer) -> None:
    """Write a layer's scales and its rounded weights and biases into the buffers of a QUANTIZED graph."""
    groups = int(layer.settings.get("groups", 1)) if layer.axis == 1 else 1
    weight, bias = layer.buffers
    int8.get_buffer(f"{weight}_scale").copy_(layer.scale)
    write_integers(int8, layer.buffers, layer.weight.round().clamp(layer.grid.low, layer.grid.high), layer.bias)
    if bias is not None:
        step = torch.tensor(layer.x.scale, dtype=torch.float32) * layer.scale.repeat(groups)
        int8.get_buffer(f"{bias}_scale").copy_(step)


def write_integers(int8: fx.GraphModule, buffers: tuple[str, str | None], weight: Tensor, bias: Tensor | None) -> None:
    """Write integers, given in any dtype, into the buffers of a layer."""
    replace_buffer(int8, buffers[0], weight)
    if buffers[1] is not None and bias is not None:
        int8.get_buffer(buffers[1]).copy_(bias.round().clamp(-LARGEST_BIAS, LARGEST_BIAS))


def _reads_integers(node: fx.Node) -> bool:
    weight = node.args[1]
    return isinstance(weight, fx.Node) and weight.target is ops.dequantize_per_channel


def _settled(
    int8: fx.GraphModule,
    exact: fx.GraphModule,
    node: fx.Node,
    source: fx.Node,
    learned: Folded | None,
    y: QParams | None,
    quant: QuantConfig,
) -> SettledLayer:
    reads, weight_node, bias_node = (*node.args, None)[:3]
    assert isinstance(reads, fx.Node) and isinstance(weight_node, fx.Node)
    x, axis = qparams_of(reads), int(weight_node.args[2])  # type: ignore[arg-type]  # the schema says int
    layer = module_of(exact, source, nn.Module)
    state = layer.state_dict()
    weight, bias = state["weight"].double(), state.get("bias")
    scale = int8.get_buffer(_path(weight_node, 1)).double()
    if learned is not None:
        scale = _tie_free(learned.step, None if bias is None else bias.double(), x, y, quant)
    scale = scale.float()
    shape = [1] * weight.dim()
    shape[axis] = -1
    groups = int(getattr(layer, "groups", 1)) if axis == 1 else 1
    step = (torch.tensor(x.scale, dtype=torch.float32) * scale.repeat(groups)).double()
    return SettledLayer(
        source.name,
        node.target,  # type: ignore[arg-type]  # a functional layer
        dict(node.kwargs),
        (weight / scale.double().reshape(shape)).float(),
        None if bias is None else (bias.double() / step).float(),
        scale,
        axis,
        quant.weight_grid(quant.weight_bits_of(exact, source)),
        x,
        learned is not None or any(p.requires_grad for p in layer.parameters()),
        (_path(weight_node, 0), _path(bias_node, 0) if isinstance(bias_node, fx.Node) else None),
    )


def _path(node: fx.Node, argument: int) -> str:
    """Path of the buffer that a dequantizing node reads."""
    read = node.args[argument]
    assert isinstance(read, fx.Node)
    return str(read.target)


def _tie_free(step: Tensor, bias: Tensor | None, x: QParams, y: QParams | None, quant: QuantConfig) -> Tensor:
    alive = step > step.median() * _DEAD
    typical = step[alive].median() if bool(alive.any()) else torch.ones((), dtype=step.dtype)
    scale = torch.where(alive, step, typical)
    if bias is not None:
        scale = torch.maximum(scale, bias.abs() / (x.scale * LARGEST_BIAS))
    if y is None:
        return scale
    wanted = x.scale * scale / y.scale
    multiplier, _ = tie_free_multipliers(wanted.clamp(min=SMALLEST_PROVABLE) if quant.exact else wanted)
    return multiplier * y.scale / x.scale
