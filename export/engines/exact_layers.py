"""Layers computed exactly in float32, for CPUs whose int8 kernels saturate with a layer's weights.

Products of bytes and int8 weights are integers; float32 adds them exactly, in any order, if no partial sum reaches
2**24. The largest possible sum follows from the weights; if it is too large, the layer is computed in several parts of
its input channels. The sum is multiplied once by ``s_x * s_w / s_y`` and rounded half to even, which is exact with
tie-free scales.
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
"""Integers below this are exact in float32."""

Layer = Callable[[Tensor], Tensor]


def channel_parts(layer: LayerIntegers, x: QParams) -> list[slice]:
    """Slices of the input channels in which no partial sum of products and bias reaches 2**24.

    Empty if a single channel is too large: a kernel with more than 500 positions.
    """
    channels = layer.weight.shape[1]
    for parts in range(1, channels + 1):
        step = -(-channels // parts)
        slices = [slice(start, min(start + step, channels)) for start in range(0, channels, step)]
        if all(_largest_sum(layer, x, part) < EXACT_SUM for part in slices):
            return slices
    return []


def _largest_sum(layer: LayerIntegers, x: QParams, channels: slice) -> float:
    """A bound for all partial sums: the products of one sign, added first."""
    weight = layer.weight[:, channels].double().flatten(1)
    low, high = x.grid.low - x.zero_point, x.grid.high - x.zero_point
    above, below = weight.clamp(min=0).sum(1), -weight.clamp(max=0).sum(1)
    reach = torch.maximum(above * high - below * low, below * high - above * low)
    if layer.bias is not None:
        reach = reach + layer.bias.double().abs()
    return float(reach.max())


class ExactConv(Kernel):
    """Convolution ``[N, C_in, *]`` -> ``[N, C_out, *]`` on integers, channels last.

    Args:
        call: a convolution.
        parts: slices of its input channels from :func:`channel_parts`.
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
        """The kernel; None if float32 cannot hold the sums. Channels of grouped convolutions are not split."""
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
    """Linear layer ``[*, C_in]`` -> ``[*, C_out]`` on integers."""

    def __init__(self, call: Int8Call) -> None:
        super().__init__()
        self._x, self._rounding = call.x[0], _Rounding(call, (-1,))
        self._parts = _float_linear(layer_of(call), call.x[0])

    def forward(self, q: Tensor) -> Tensor:
        return self._rounding(_summed(self._parts, _centred(q, self._x), -1))


class ExactResult(Kernel):
    """Linear layer ``[*, C_in]`` -> ``[*, C_out]``, integer input and float output: exact sums times their scale."""

    def __init__(self, result: FloatResult) -> None:
        super().__init__()
        self._x, self._scale = result.x, result.scale
        self._parts = _float_linear(result.layer, result.x)

    def forward(self, q: Tensor) -> Tensor:
        return _summed(self._parts, _centred(q, self._x), -1).mul_(self._scale)


class _Rounding:
    """Rounds sums, given as whole floats, to integers of a call's output.

    Args:
        shape: shape of the multipliers that broadcasts over the sums.
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
    """Integers minus their zero point, as floats."""
    if x.zero_point and q.dtype is torch.quint8:
        return quint8.on_grid(q, 1.0, x.zero_point).dequantize()
    plain = quint8.as_bytes(q).float()
    return plain.sub_(x.zero_point) if x.zero_point else plain


def _summed(parts: list[tuple[slice, Layer]], x: Tensor, dim: int) -> Tensor:
    """Sum of the results of a layer's parts, each for its own channels of ``x``."""
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
    """A float convolution for inputs with this shape; weights are reordered once if oneDNN supports that."""
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
