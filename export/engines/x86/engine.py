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
    if call.shares_scale and call.clamp is None:
        return MOVING.get(call.operator.name, Move)(call)
    if call.x[0].grid.dtype is not torch.uint8 or call.y.grid.dtype is not torch.uint8:
        return ReferenceKernel(call)
    if call.operator.elementwise and call.clamp is None:
        by_aten = BY_ATEN.get(call.operator.name, _nothing)(call) if quint8.is_available() else None
        return by_aten or Table(call)
    return KERNELS.get(call.operator.name, _on_reference)(call)


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


def _max_pool(call: Int8Call) -> Kernel:
    return ByteMaxPool(call) if call.x[0].grid.dtype is torch.uint8 else Move(call)


def _add(call: Int8Call) -> Kernel:
    shapes = {tuple(n.meta[SHAPE][1:]) for n in call.inputs}
    if quint8.is_available() and call.clamp is None and len(shapes) == 1:
        return ByteAdd(call)
    return OnBytes(ThroughFloat(call))


def _mul(call: Int8Call) -> Kernel:
    if call.clamp is None and is_gated(call):
        return GatedTable(call)
    if call.clamp is None and quint8.is_available():
        return ByteMul.if_exact(call) or OnBytes(ReferenceKernel(call))
    return OnBytes(ThroughFloat(call))


def _cat(call: Int8Call) -> Kernel:
    is_plain = quint8.is_available() and call.clamp is None
    return ByteCat(call) if is_plain else OnBytes(ReferenceKernel(call))


def _on_reference(call: Int8Call) -> Kernel:
    return OnBytes(ReferenceKernel(call))


def _nothing(call: Int8Call) -> None:
    """No kernel: ATen runs the operator on quint8 and on uint8, or has none for it."""


MOVING: dict[str, Callable[[Int8Call], Kernel | None]] = {
    **dict.fromkeys("reshape permute transpose squeeze unsqueeze slice expand".split(), _nothing),
    "flatten": Flatten,
    "max_pool2d": _max_pool,
}
"""Kernels of operators that move integers; the others run on uint8."""
BY_ATEN: dict[str, Callable[[Int8Call], Kernel | None]] = {"hardswish": ByteHardswish.if_exact}
"""Kernels that may take the place of a table; None where they give other integers."""
KERNELS: dict[str, Callable[[Int8Call], Kernel]] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), _convolution),
    "linear": _linear,
    "adaptive_avg_pool2d": GlobalAveragePool,
    "add": _add,
    "mul": _mul,
    "cat": _cat,
}
"""Kernels of operators on bytes; the others are computed by the reference."""
