"""Convolutions and linear layers on x86: oneDNN, with weights packed when the module is built.

There are two interfaces to the same kernels: ``quantized.conv*`` keeps the primitive between calls, which saves
its construction; ``onednn.qconv_pointwise`` takes plain tensors. The first uses oneDNN as engine and not fbgemm, whose
depthwise kernel saturates with the full 8-bit range; but if an image has only one position left, as in squeeze and
excitation, a call of oneDNN takes several times as long as the product, and fbgemm is faster.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fxpasses.quantization.int8.int8_calls import Int8Call, LayerIntegers, layer_of

from .. import quint8
from ..geometry import Geometry
from ..kernel import Call, Kernel, Script
from ..reference import output_limits
from ..saturation import is_exact


class _Layer(Kernel):
    """Base of both interfaces to oneDNN: parameters, the bias as floats on the integer grid, and a remaining clamp."""

    def __init__(self, call: Int8Call) -> None:
        super().__init__()
        self.x, self.y = call.x[0], call.y
        self.limits = output_limits(call) if call.clamp is not None else None
        layer = layer_of(call)
        self.bias: Tensor | None = None
        if layer.bias is not None:
            self.bias = (layer.bias.double() * self.x.scale * layer.weight_scale.double()).float()

    def clamped(self, q: Tensor) -> Tensor:
        return q if self.limits is None else quint8.as_bytes(q).clamp_(*self.limits)


def packed_conv_engine(call: Int8Call) -> str | None:
    """The engine to pack a convolution for: the fastest one that computes it exactly; None without one."""
    order = ("fbgemm", "onednn") if Geometry(call).is_one_product() else ("onednn",)
    return next((engine for engine in order if is_exact(engine, call)), None)


class PackedConv(_Layer):
    """Convolution ``[N, C_in, *]`` -> ``[N, C_out, *]``, quint8, channels last; it keeps its first primitive."""

    def __init__(self, call: Int8Call, engine: str = "onednn") -> None:
        super().__init__(call)
        g, layer = Geometry(call), layer_of(call)
        dims, geometry = g.weight.dim() - 2, (g.stride, g.padding, g.dilation, g.groups)
        self._name = f"quantized.conv{dims}d"
        pack: Any = getattr(torch.ops.quantized, f"conv{dims}d_prepack")
        self._pack: Callable[[Tensor, Tensor | None], Any] = lambda weight, bias: pack(weight, bias, *geometry)
        self._unpack = getattr(torch.ops.quantized, f"conv{dims}d_unpack")
        self._convolve = quint8.without_dispatch(getattr(torch.ops.quantized, f"conv{dims}d").new)
        self._is_1d = g.is_1d
        self.engine = engine
        self._take(per_channel(g.weight, layer), self.bias)

    def forward(self, q: Tensor) -> Tensor:
        return self._function(q)

    @property
    def function(self) -> Callable[[Tensor], Tensor]:
        return self._function

    @property
    def script(self) -> Script | None:
        if self.limits is not None or self._is_1d:
            return None
        return Script((self.x,), (Call(self._name, (self._packed, self.y.scale, self.y.zero_point)),))

    def packed_again(self) -> PackedConv:
        """The same layer with its own packed weights, if these keep the primitive of their first shape."""
        if self.engine != "onednn":
            return self
        twin = copy.copy(self)
        twin._take(*self._unpack(self._packed))
        return twin

    def _take(self, weight: Tensor, bias: Tensor | None) -> None:
        with quint8.packing_for(self.engine):
            self._packed = self._pack(weight, bias)
        self._function = self._as_function()

    def _as_function(self) -> Callable[[Tensor], Tensor]:
        """The kernel as a function with constants in local variables, since attributes of modules are slow to read."""
        operator, packed, x, quint = self._convolve, self._packed, self.x, torch.quint8
        scale, zero_point = self.y.scale, self.y.zero_point

        def convolve(q: Tensor) -> Tensor:
            if q.dtype is not quint:
                q = quint8.as_quint8(q, x)
            y: Tensor = operator(q, packed, scale, zero_point)
            return y

        def convolve_and_clamp(q: Tensor) -> Tensor:
            return self.clamped(convolve(q.unsqueeze(2)).squeeze(2) if self._is_1d else convolve(q))

        return convolve if self.limits is None and not self._is_1d else convolve_and_clamp


def per_channel(weight: Tensor, layer: LayerIntegers) -> Tensor:
    """An int8 weight in the dtype for packing."""
    zeros = torch.zeros(len(layer.weight_scale), dtype=torch.long)
    with quint8.building():
        return torch._make_per_channel_quantized_tensor(weight, layer.weight_scale.double(), zeros, 0)


class PlainConv(_Layer):
    """Convolution ``[N, C_in, *]`` -> ``[N, C_out, *]``, plain uint8 and channels last."""

    def __init__(self, call: Int8Call) -> None:
        super().__init__(call)
        self.geometry = g = Geometry(call)
        layer = layer_of(call)
        self.weight_scale, self.weight_zero = (
            layer.weight_scale,
            torch.zeros(len(layer.weight_scale), dtype=torch.int32),
        )
        self.packed = torch.ops.onednn.qconv_prepack(
            g.weight, layer.weight_scale, self.x.scale, self.x.zero_point, g.stride, g.padding, g.dilation, g.groups,
            g.shape,
        )  # fmt: skip

    def forward(self, q: Tensor) -> Tensor:
        g, q = self.geometry, quint8.as_bytes(q)
        y = torch.ops.onednn.qconv_pointwise(
            q.unsqueeze(2) if g.is_1d else q, self.x.scale, self.x.zero_point, self.packed, self.weight_scale,
            self.weight_zero, self.bias, g.stride, g.padding, g.dilation, g.groups, self.y.scale, self.y.zero_point,
            torch.uint8, "none", [], "",
        )  # fmt: skip
        return self.clamped(y.squeeze(2) if g.is_1d else y)


class PackedLinear(_Layer):
    """Linear layer ``[*, C_in]`` -> ``[*, C_out]``, quint8, by fbgemm: oneDNN's packed layer unpacks at each call."""

    def __init__(self, call: Int8Call) -> None:
        super().__init__(call)
        weight = per_channel(layer_of(call).weight, layer_of(call))
        with quint8.packing_for("fbgemm"):
            self.packed = torch.ops.quantized.linear_prepack(weight, self.bias)
        self.multiply = quint8.without_dispatch(torch.ops.quantized.linear.default)

    @property
    def script(self) -> Script | None:
        if self.limits is not None:
            return None
        return Script((self.x,), (Call("quantized.linear", (self.packed, self.y.scale, self.y.zero_point)),))

    def forward(self, q: Tensor) -> Tensor:
        y: Tensor = self.multiply(quint8.as_quint8(q, self.x), self.packed, self.y.scale, self.y.zero_point)
        return self.clamped(y)


class PlainLinear(_Layer):
    """Linear layer ``[*, C_in]`` -> ``[*, C_out]``, plain uint8."""

    def __init__(self, call: Int8Call) -> None:
        super().__init__(call)
        layer = layer_of(call)
        self.weight_scale, self.weight_zero = (
            layer.weight_scale,
            torch.zeros(len(layer.weight_scale), dtype=torch.int32),
        )
        self.packed = torch.ops.onednn.qlinear_prepack(layer.weight, None)

    def forward(self, q: Tensor) -> Tensor:
        y: Tensor = torch.ops.onednn.qlinear_pointwise(
            quint8.as_bytes(q), self.x.scale, self.x.zero_point, self.packed, self.weight_scale, self.weight_zero,
            self.bias, self.y.scale, self.y.zero_point, torch.uint8, "none", [], "",
        )  # fmt: skip
        return self.clamped(y)
