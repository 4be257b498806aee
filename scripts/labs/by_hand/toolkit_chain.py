"""Converts the toolkit's own QUANTIZED graph to a chain of integer steps, to show that integers are enough."""

from __future__ import annotations

import numpy as np
from torch import Tensor
from torch.fx import GraphModule

from by_hand.integer_chain import Flatten, Grid, IntegerNet, Layer, MaxPool, Step, by_long_multiplier
from fxpasses.errors import InputError
from fxpasses.quantization.int8.int8_calls import Int8Call, LayerIntegers, find_float_results, find_int8_calls
from fxpasses.quantization.numbers.qparams import QParams


def integer_net_of(gm: GraphModule) -> IntegerNet:
    """Chain of a QUANTIZED graph of convolutions, linear layers, max pools and flatten, one after the other.

    Raises:
        InputError: the graph has another operator, or its logits are not a linear layer's sums.
    """
    calls = list(find_int8_calls(gm).values())
    results = list(find_float_results(gm).values())
    if len(results) != 1 or not calls:
        raise InputError(
            "a chain of integers", why="the graph does not end in one linear layer", fix="give LeNet or the like"
        )
    last = results[0]
    weight, bias = _arrays(last.layer)
    result = Layer(last.name, weight, bias, grid_of(last.x), None, last.scale.numpy())
    return IntegerNet(grid_of(calls[0].x[0]), (*(_step(call) for call in calls), result))


def grid_of(qparams: QParams) -> Grid:
    """Grid of quantization parameters as plain numbers."""
    return Grid(qparams.scale, qparams.zero_point, qparams.grid.low, qparams.grid.high)


def _step(call: Int8Call) -> Step:
    name = call.operator.name
    if name == "flatten":
        return Flatten(call.name)
    if name == "max_pool2d":
        return MaxPool(call.name, int(call.settings["kernel_size"]))
    if name not in ("conv2d", "linear") or call.clamp is not None or call.layer is None:
        raise InputError(f"{call.name} in a chain of integers", why=f"it is {name}", fix="give LeNet or the like")
    weight, bias = _arrays(call.layer)
    m = call.x[0].scale * call.layer.weight_scale.double().numpy() / call.y.scale
    stride, padding = (_pair(call.settings.get(key, default)) for key, default in (("stride", 1), ("padding", 0)))
    requantize = by_long_multiplier(m, grid_of(call.y))
    return Layer(call.name, weight, bias, grid_of(call.x[0]), requantize, None, stride, padding)


def _arrays(layer: LayerIntegers) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.int32]], ...]:
    bias: Tensor | None = layer.bias
    zeros = np.zeros(len(layer.weight), np.int32)
    return layer.weight.numpy().astype(np.int32), zeros if bias is None else bias.numpy().astype(np.int32)


def _pair(value: object) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    assert isinstance(value, tuple) and len(value) == 2
    return int(value[0]), int(value[1])
