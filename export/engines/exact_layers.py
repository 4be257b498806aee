"""Layers in float32 that give the exact integers: for CPUs whose int8 kernels saturate on a layer's weights.

The products of bytes and int8 weights are whole numbers; float32 adds them exactly, in any order, as long as no partial
sum reaches 2**24. How large sums can become follows from the weights; where one part of the input channels could exceed
it, the layer is computed in several parts. The sum is multiplied once by ``s_x * s_w / s_y`` and rounded half to even,
as tie-free scales allow.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from fxpasses.quantization.int8.int8_calls import FloatResult, Int8Call, LayerIntegers, layer_of
from fxpasses.quantization.numbers.qparams import QParams

from . import quint8
from .geometry import Geometry
from .kernel import Kernel
from .reference import multipliers, output_limits

EXACT_SUM = 2.0**24
"""Whole numbers below this are exact in float32."""

Layer = Callable[[Tensor], Tensor]


def channel_parts(layer: LayerIntegers, x: QParams) -> list[slice]:
    """Slices of the input channels for each of which no partial sum of products and bias reaches 2**24.

    None where one channel is too much: a kernel of more than 500 positions.
    """
    channels = layer.weight.shape[1]
    for parts in range(1, channels + 1):
        step = -(-channels // parts)
        slices = [slice(start, min(start + step, channels)) for start in range(0, channels, step)]
        if all(_largest_sum(layer, x, part) < EXACT_SUM for part in slices):
            return slices
    return []


def _largest_sum(layer: LayerIntegers, x: QParams, channels: slice) -> float:
    """A bound on every partial sum, with products of one sign first."""
    weight = layer.weight[:, channels].double().flatten(1)
    low, high = x.grid.low - x.zero_point, x.grid.high - x.zero_point
    above, below = weight.clamp(min=0).sum(1), -weight.clamp(max=0).sum(1)
    reach = torch.maximum(above * high - below * low, below * high - above * low)
    if layer.bias is not None:
        reach = reach + layer.bias.double().abs()
    return float(reach.max())


class ExactConv(Kernel):
    """``[N, C_in, *]`` -> ``[N, C_out, *]``, integers in, integers out, channels last.

    Args:
        call: of a convolution.
        parts: slices of its input channels, as :func:`channel_parts` gives them.
    """

    def __init__(self, call: Int8Call, parts: list[slice]) -> None:
        super().__init__()
        self._geometry = g = Geometry(call)
        self._x, self._rounding = call.x[0], _Rounding(call, (1, -1, *[1] * (g.weight.dim() - 2)))
        layer = layer_of(call)
        bias = None if layer.bias is None else layer.bias.float()
        self._parts: list[tuple[slice, Layer]] = []
        for part in parts:
            shape = [g.shape[0], g.weight[:, part].shape[1] * g.groups, *g.shape[2:]]
            self._parts.append((part, _float_conv(g, g.weight[:, part].float(), bias, shape)))
            bias = None

    @classmethod
    def if_exact(cls, call: Int8Call) -> ExactConv | None:
        """The kernel; None where float32 does not hold the sums. Channels of grouped convolutions are not split."""
        parts = channel_parts(layer_of(call), call.x[0])
        fits = len(parts) == 1 or (parts and int(call.settings.get("groups", 1)) == 1)
        return cls(call, parts) if fits else None

    def forward(self, q: Tensor) -> Tensor:
        x = _centred(q, self._x)
        if self._geometry.is_1d:
            x = x.unsqueeze(2)
        steps = _summed(self._parts, x, 1)
        rounded = self._rounding(steps)
        return rounded.squeeze(2) if self._geometry.is_1d else rounded


class ExactLinear(Kernel):
    """``[*, C_in]`` -> ``[*, C_out]``, integers in, integers out."""

    def __init__(self, call: Int8Call) -> None:
        super().__init__()
        self._x, self._rounding = call.x[0], _Rounding(call, (-1,))
        self._parts = _float_linear(layer_of(call), call.x[0])

    def forward(self, q: Tensor) -> Tensor:
        return self._rounding(_summed(self._parts, _centred(q, self._x), -1))


class ExactResult(Kernel):
    """``[*, C_in]`` -> ``[*, C_out]``, integers in, floats out: exact sums, times what a step is worth."""

    def __init__(self, result: FloatResult) -> None:
        super().__init__()
        self._x, self._scale = result.x, result.scale
        self._parts = _float_linear(result.layer, result.x)

    def forward(self, q: Tensor) -> Tensor:
        return _summed(self._parts, _centred(q, self._x), -1).mul_(self._scale)


class _Rounding:
    """Sums, as whole floats, to integers of a call's output grid.

    Args:
        shape: of the multipliers, so that they broadcast over the sums.
    """

    def __init__(self, call: Int8Call, shape: tuple[int, ...]) -> None:
        self.y, self.on_quint8 = call.y, quint8.is_available()
        with quint8.building():
            self.multiplier = multipliers(call).float().reshape(shape)
        self.limits = output_limits(call) if call.clamp is not None else None

    def __call__(self, sums: Tensor) -> Tensor:
        y, steps = self.y, sums.mul_(self.multiplier)
        if not self.on_quint8:
            low, high = self.limits or (y.grid.low, y.grid.high)
            return steps.round_().add_(y.zero_point).clamp_(low, high).to(y.grid.dtype)
        q = torch.quantize_per_tensor(steps, 1.0, y.zero_point, torch.quint8)
        if self.limits is not None:
            return quint8.as_bytes(q).clamp_(*self.limits)
        return quint8.on_grid(q, y.scale, y.zero_point)


def _centred(q: Tensor, x: QParams) -> Tensor:
    """Integers less their zero point, as floats."""
    if x.zero_point and q.dtype is torch.quint8:
        return quint8.on_grid(q, 1.0, x.zero_point).dequantize()
    plain = quint8.as_bytes(q).float()
    return plain.sub_(x.zero_point) if x.zero_point else plain


def _summed(parts: list[tuple[slice, Layer]], x: Tensor, dim: int) -> Tensor:
    """What the parts of a layer make of their own channels of ``x``, added."""
    if len(parts) == 1:
        return parts[0][1](x)
    total: Tensor | None = None
    for part, layer in parts:
        sums = layer(x.narrow(dim, part.start, part.stop - part.start))
        total = sums if total is None else total.add_(sums)
    assert total is not None
    return total


def _float_linear(layer: LayerIntegers, x: QParams) -> list[tuple[slice, Layer]]:
    parts: list[tuple[slice, Layer]] = []
    bias = None if layer.bias is None else layer.bias.float()
    for part in channel_parts(layer, x):
        weight, added = layer.weight[:, part].float().contiguous(), bias
        parts.append((part, functools.partial(F.linear, weight=weight, bias=added)))
        bias = None
    return parts


def _float_conv(g: Geometry, weight: Tensor, bias: Tensor | None, shape: list[int]) -> Layer:
    """A convolution of floats over inputs like ``shape``; weights laid out once where oneDNN takes them so."""
    mkldnn, is_2d = torch.ops.mkldnn, weight.dim() == 4
    function = F.conv2d if is_2d else F.conv3d

    def plain(x: Tensor) -> Tensor:
        return function(x, weight, bias, g.stride, g.padding, g.dilation, g.groups)

    if not (is_2d and torch.backends.mkldnn.is_available() and hasattr(mkldnn, "_convolution_pointwise")):
        return plain
    weight = weight.contiguous(memory_format=torch.channels_last)
    packed = mkldnn._reorder_convolution_weight(weight, g.padding, g.stride, g.dilation, g.groups, shape)
    convolve = quint8.without_dispatch(mkldnn._convolution_pointwise.default)

    def convolved(x: Tensor) -> Tensor:
        if quint8.is_traced():  # a trace holds no weights laid out for oneDNN; both sums are exact
            return plain(x)
        y: Tensor = convolve(x, packed, bias, g.padding, g.stride, g.dilation, g.groups, "none", [], "")
        return y

    return convolved
