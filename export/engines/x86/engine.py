"""The engine of int8 kernels: the choice of a kernel for each integer operation, on x86 and on ARM.

oneDNN and fbgemm compute layers, ATen's byte kernels other operators; an operator without kernel uses the exact
reference. If this machine's kernels would saturate with a layer's weights, the layer is computed exactly in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import fx

from fxpasses.graph.meta_keys import SHAPE
from fxpasses.quantization.int8.int8_calls import Int8Call

from .. import quint8
from ..autotune import is_faster
from ..exact_layers import ExactConv, ExactLinear
from ..kernel import Kernel
from ..reference import ReferenceKernel, ThroughFloat
from ..replace_calls import lower
from ..saturation import is_exact
from .bytes_kernels import (
    ByteAdd,
    ByteCat,
    ByteHardswish,
    ByteMul,
    Exit,
    Flatten,
    GatedTable,
    Move,
    OnBytes,
    Table,
    is_gated,
)
from .entrance import entrance
from .float_results import float_result_kernel
from .layers import PackedConv, PackedLinear, PlainConv, PlainLinear, packed_conv_engine
from .net import X86Net
from .pools import ByteMaxPool, GlobalAveragePool

_ON_EITHER_DTYPE = frozenset("reshape permute transpose squeeze unsqueeze slice expand".split())
"""Operators that ATen runs on both quint8 and uint8."""


_OTHER: dict[type[Kernel], Callable[[Int8Call], Kernel]] = {
    PackedConv: PlainConv,
    PackedLinear: PlainLinear,
    ByteHardswish: Table,
}
"""Alternative of each kernel with the same integers; it may be faster, such as oneDNN's linear for many rows."""


def to_x86(gm: fx.GraphModule, *, autotune: bool = False) -> X86Net:
    """Lower a QUANTIZED graph to x86 kernels; ``autotune`` selects the faster one if there are two."""
    kernel_for = _faster_kernel if autotune else x86_kernel
    net = lower(gm, kernel_for, entrance, Exit, float_result_kernel)
    return X86Net(net, gm, partial(to_x86, autotune=autotune)).eval()


def _faster_kernel(call: Int8Call) -> Kernel | None:
    usual = x86_kernel(call)
    if usual is None or type(usual) not in _OTHER:
        return usual
    other = _OTHER[type(usual)]
    if call.layer is not None and not is_exact("onednn", call):
        return usual
    return other(call) if is_faster(other, type(usual), call) else usual


def x86_kernel(call: Int8Call) -> Kernel | None:
    """The kernel of one integer operation; None to call the operator itself."""
    name = call.operator.name
    if call.shares_scale and call.clamp is None:
        return _moving_kernel(call)
    if call.x[0].grid.dtype is not torch.uint8 or call.y.grid.dtype is not torch.uint8:
        return ReferenceKernel(call)
    if name in ("conv1d", "conv2d", "conv3d"):
        return _convolution(call)
    if name == "linear":
        return _linear(call)
    if name == "adaptive_avg_pool2d":
        return GlobalAveragePool(call)
    return _pointwise_kernel(call)


def _convolution(call: Int8Call) -> Kernel:
    if quint8.is_available() and (engine := packed_conv_engine(call)) is not None:
        return PackedConv(call, engine)
    if is_exact("onednn", call):
        return PlainConv(call)
    return ExactConv.if_exact(call) or ReferenceKernel(call)


def _linear(call: Int8Call) -> Kernel:
    if len(call.inputs[0].meta[SHAPE]) < 2:  # a single vector, for which no kernel exists
        return ExactLinear(call)
    if quint8.is_available() and is_exact("fbgemm", call):
        return PackedLinear(call)
    return PlainLinear(call) if is_exact("onednn", call) else ExactLinear(call)


def _moving_kernel(call: Int8Call) -> Kernel | None:
    name = call.operator.name
    if name == "flatten":
        return Flatten(call)
    if name in _ON_EITHER_DTYPE:
        return None
    if name == "max_pool2d" and call.x[0].grid.dtype is torch.uint8:
        return ByteMaxPool(call)
    return Move(call)


def _pointwise_kernel(call: Int8Call) -> Kernel:
    name, shapes = call.operator.name, {tuple(n.meta[SHAPE][1:]) for n in call.inputs}
    if call.operator.elementwise and call.clamp is None:
        by_aten = ByteHardswish.if_exact(call) if name == "hardswish" and quint8.is_available() else None
        return by_aten or Table(call)
    if quint8.is_available() and call.clamp is None:
        if name == "add" and len(shapes) == 1:
            return ByteAdd(call)
        if name == "cat":
            return ByteCat(call)
        if name == "mul" and not is_gated(call):
            return ByteMul.if_exact(call) or OnBytes(ReferenceKernel(call))
    if name == "mul" and call.clamp is None and is_gated(call):
        return GatedTable(call)
    if name in ("mul", "add"):
        return OnBytes(ThroughFloat(call))
    return OnBytes(ReferenceKernel(call))
