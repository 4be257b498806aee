"""The integer reference: exact but slow arithmetic.

Sums of integer products are computed in a type that is exact (float32 below 2**24, float64 below 2**53), multiplied
once by ``m = s_x * s_w / s_y`` and rounded half to even. With tie-free scales every correct engine gives the same
integers. Shapes are those of the float operator; inputs and output are integer tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fxpasses.graph.operators import Trait
from fxpasses.quantization.int8.int8_calls import FloatResult, Int8Call
from fxpasses.quantization.int8.scales import table_of
from fxpasses.quantization.numbers import ops
from fxpasses.quantization.numbers.qparams import QParams

from .kernel import Kernel


class ReferenceKernel(Kernel):
    """One operation in exact arithmetic: integer tensors as inputs, an integer tensor as output."""

    def __init__(self, call: Int8Call) -> None:
        super().__init__()
        self._call = call
        self._steps = STEPS.get(call.operator.name)

    def forward(self, *inputs: Tensor) -> Tensor:
        call = self._call
        if call.shares_scale and call.clamp is None:
            return move_integers(call, inputs[0])
        if call.operator.elementwise and call.clamp is None:
            table = integer_table(call).to(torch.int32)  # torch cannot index uint16
            return table[inputs[0].long() - call.x[0].grid.low].to(call.y.grid.dtype)
        if self._steps is None:
            return through_float(call, *inputs)
        centred = [q.double() - x.zero_point for q, x in zip(inputs, call.x, strict=True)]
        return to_grid(self._steps(call, *centred), call)


class ReferenceResult(Kernel):
    """A layer with float results: exact sums, rounded to float32, times the value of one step."""

    def __init__(self, result: FloatResult) -> None:
        super().__init__()
        self._zero_point, self._layer, self._scale = result.x.zero_point, result.layer, result.scale

    def forward(self, q: Tensor) -> Tensor:
        weight, bias = self._layer.weight.double(), self._layer.bias
        sums = F.linear(q.double() - self._zero_point, weight, None if bias is None else bias.double())
        return sums.to(torch.float32) * self._scale


def to_grid(steps: Tensor, call: Int8Call) -> Tensor:
    """Round results in output steps to the integers of the output, with the clamp of the call's activation."""
    q = torch.round(steps) + call.y.zero_point
    return q.clamp_(*output_limits(call)).to(call.y.grid.dtype)


def output_limits(call: Int8Call) -> tuple[int, int]:
    """The smallest and largest integer of the call's output: those of its type, limited by its clamp."""
    grid, y = call.y.grid, call.y
    if call.clamp is None:
        return grid.low, grid.high
    low, high = (
        round(min(max(bound / y.scale, -2.0 * grid.levels), 2.0 * grid.levels)) + y.zero_point for bound in call.clamp
    )
    return max(low, grid.low), min(high, grid.high)


def move_integers(call: Int8Call, q: Tensor) -> Tensor:
    """Run an operator that only moves values on the integers themselves."""
    settings = call.settings
    if Trait.FILLS in call.operator.traits and settings.get("mode", "constant") == "constant":
        settings["value"] = call.x[0].zero_point
    positional = [q if i == 0 else a for i, a in enumerate(call.node.args)]
    function: Callable[..., Any] = call.node.target  # type: ignore[assignment]  # canonical nodes call functions
    if _moves_as_float(call) or settings.get("mode") in ("reflect", "replicate"):
        positional[0] = q.float()
    moved: Tensor = function(*positional, **settings)
    return moved.to(q.dtype)


def reference_kernel(call: Int8Call) -> Kernel | None:
    """The exact kernel of one integer operation; None if the operator itself runs on integers."""
    if call.shares_scale and call.clamp is None and not (Trait.FILLS in call.operator.traits or _moves_as_float(call)):
        return None
    return ReferenceKernel(call)


def _moves_as_float(call: Int8Call) -> bool:
    """Whether torch has no integer kernel for an operator that moves values; float32 holds the integers exactly."""
    takes = MOVES.get(call.operator.name, Integers.ALL)
    return takes is Integers.NONE or (takes is Integers.BYTES and call.x[0].grid.levels > BYTE)


class Integers(Enum):
    """The integers that torch can move with an operator."""

    ALL = "bytes and unsigned 16-bit integers"
    BYTES = "bytes alone"
    NONE = "none: it has kernels for floats"


MOVES: dict[str, Integers] = {
    **dict.fromkeys("flatten reshape permute transpose squeeze unsqueeze identity".split(), Integers.ALL),
    **dict.fromkeys("chunk split unbind slice expand roll pad".split(), Integers.ALL),
    **dict.fromkeys(("pixel_shuffle", "channel_shuffle"), Integers.BYTES),
    **dict.fromkeys(("max_pool1d", "max_pool2d", "max_pool3d", "interpolate"), Integers.NONE),
}
"""Integers that each operator moves whose output has its input's scale; of interpolate, the nearest modes."""


def integer_table(call: Int8Call) -> Tensor:
    """Results of an elementwise operator for every input integer, as output integers ``[levels + 1]``."""
    y = call.y
    return ops.quantize(table_of(call.node, call.x[0]), y.scale, y.zero_point, y.grid.dtype)


def through_float(call: Int8Call, *inputs: Tensor) -> Tensor:
    """Dequantize, compute in float, quantize: for operators without an integer kernel in any engine."""
    values = iter(_dequantized(q, x) for q, x in zip(inputs, call.x, strict=True))
    moved = [next(values) if _is_input(call, a) else a for a in call.node.args]
    function: Callable[..., Any] = call.node.target  # type: ignore[assignment]  # canonical nodes call functions
    if call.layer is not None:
        moved[1:] = _float_weights(call)
    result: Tensor = function(*moved, **call.settings)
    if call.clamp is not None:
        result = result.clamp(*call.clamp)
    return ops.quantize(result, call.y.scale, call.y.zero_point, call.y.grid.dtype)


class ThroughFloat(Kernel):
    """One integer operation through float32: exact for products of two, and for operators without integer kernels."""

    def __init__(self, call: Int8Call) -> None:
        super().__init__()
        self._call = call

    def forward(self, *inputs: Tensor) -> Tensor:
        return through_float(self._call, *inputs)


def _is_input(call: Int8Call, argument: object) -> bool:
    return getattr(argument, "target", None) is ops.dequantize


def _dequantized(q: Tensor, x: QParams) -> Tensor:
    return ops.dequantize(q, x.scale, x.zero_point)


def _float_weights(call: Int8Call) -> list[Tensor | None]:
    layer = call.layer
    assert layer is not None
    weight = ops.dequantize_per_channel(layer.weight, layer.weight_scale, layer.axis)
    if layer.bias is None:
        return [weight, None]
    groups = int(call.settings.get("groups", 1)) if layer.axis == 1 else 1
    return [weight, layer.bias.float() * (call.x[0].scale * layer.weight_scale.repeat(groups))]


def multipliers(call: Int8Call) -> Tensor:
    """Multipliers ``s_x * s_w / s_y`` of a layer, float64 ``[C_out]``."""
    assert call.layer is not None
    groups = int(call.settings.get("groups", 1)) if call.layer.axis == 1 else 1
    return call.x[0].scale * call.layer.weight_scale.double().repeat(groups) / call.y.scale


def _layer(call: Int8Call, x: Tensor) -> Tensor:
    assert call.layer is not None
    acc = _exact_sums(call, x)
    shape = [1] * acc.dim()
    shape[call.operator.channel_axis] = -1
    if call.layer.bias is not None:
        acc = acc + call.layer.bias.double().reshape(shape)
    return acc * multipliers(call).reshape(shape)


BYTE = 255
EXACT_PRODUCTS = 2**24 // (256 * 128)
"""Largest number of products whose sum is exact in float32 in any order.

A product of a centred byte (magnitude up to 256) and a weight is at most 2**15, so these sums do not exceed 2**24.
"""


def _exact_sums(call: Int8Call, x: Tensor) -> Tensor:
    """Sums of integer products as float64; 16-bit integers are summed as a high and a low byte."""
    if call.x[0].grid.levels <= BYTE:
        return _byte_sums(call, x)
    high = torch.floor(x / (BYTE + 1))
    return _byte_sums(call, high) * (BYTE + 1) + _byte_sums(call, x - high * (BYTE + 1))


def _byte_sums(call: Int8Call, x: Tensor) -> Tensor:
    """Sums of integer products as float64, computed in float32 by slices of input channels if that is exact.

    Otherwise float64 is used: ATen's float64 convolutions are slower by one to two orders of magnitude, grouped ones by
    three.
    """
    layer, settings = call.layer, call.settings
    assert layer is not None
    function: Callable[..., Tensor] = call.node.target  # type: ignore[assignment]  # a functional layer
    along_w, along_x = (0 if layer.axis == 1 else 1), call.operator.channel_axis
    channels, groups = layer.weight.shape[along_w], int(settings.get("groups", 1))
    products = layer.weight[0].numel() if layer.axis == 0 else layer.weight.numel() // layer.weight.shape[1] // groups
    step = channels if products <= EXACT_PRODUCTS else EXACT_PRODUCTS * channels // products
    if step == 0 or (groups > 1 and step < channels):
        return function(x.double(), layer.weight.double(), None, **settings)
    slices = zip(x.float().split(step, along_x), layer.weight.float().split(step, along_w), strict=True)
    if groups > 1:
        slices = zip([x.float()], [layer.weight.float()], strict=True)
    with torch.backends.nnpack.flags(enabled=False):  # its Winograd transform is not exact
        return sum(function(a, w, None, **settings).double() for a, w in slices)  # type: ignore[return-value]  # never empty


def _add(call: Int8Call, a: Tensor, b: Tensor) -> Tensor:
    return a * (call.x[0].scale / call.y.scale) + b * (call.x[1].scale / call.y.scale)


def _mul(call: Int8Call, a: Tensor, b: Tensor) -> Tensor:
    return a * b * (call.x[0].scale * call.x[1].scale / call.y.scale)


def _matmul(call: Int8Call, a: Tensor, b: Tensor) -> Tensor:
    return torch.matmul(a, b) * (call.x[0].scale * call.x[1].scale / call.y.scale)


def _cat(call: Int8Call, *parts: Tensor) -> Tensor:
    scaled = [p * (x.scale / call.y.scale) for p, x in zip(parts, call.x, strict=True)]
    return torch.cat(scaled, **call.settings)


def _average(call: Int8Call, x: Tensor) -> Tensor:
    function: Callable[..., Tensor] = call.node.target  # type: ignore[assignment]  # a pool
    return function(x, **call.settings) * (call.x[0].scale / call.y.scale)


STEPS: dict[str, Callable[..., Tensor]] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d", "linear"), _layer),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _layer),
    "add": _add,
    "mul": _mul,
    "matmul": _matmul,
    "cat": _cat,
    "avg_pool2d": _average,
    "adaptive_avg_pool2d": _average,
    "mean": _average,
}
"""Function of each operator from centred float64 integers to its result in output steps."""
