"""Linear layers on x86 with byte input and float output.

The kernels sum integers and add the bias as floats, both exactly below 2**24: weights are packed with scale 1, and the
sums are multiplied once afterwards by the value of a step, as in onnxruntime. With the real scales packed, four in ten
results would differ in the last bit.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from fxpasses.graph.meta_keys import SHAPE
from fxpasses.quantization.int8.int8_calls import FloatResult

from .. import quint8
from ..exact_layers import ExactResult
from ..kernel import Call, Kernel, Script
from ..reference import ReferenceResult
from ..saturation import is_exact
from .layers import per_channel

_MATRIX = 2
"""Fewest dimensions of an input that the kernels take; a model may be called on a single vector."""


def float_result_kernel(result: FloatResult) -> Kernel:
    """The fastest kernel of this file that can compute the layer."""
    if result.x.grid.dtype is not torch.uint8:
        return ReferenceResult(result)
    if len(result.input.meta[SHAPE]) < _MATRIX:
        return ExactResult(result)
    rows_of_a_sample = math.prod(result.input.meta[SHAPE][1:-1])
    if rows_of_a_sample == 1 and quint8.is_available() and is_exact("fbgemm", result):
        return FewRows(result)
    return ManyRows(result) if is_exact("onednn", result) else ExactResult(result)


class _Linear(Kernel):
    def __init__(self, result: FloatResult) -> None:
        super().__init__()
        self.zero_point, self.scale = result.x.zero_point, result.scale
        bias = result.layer.bias
        self.bias = None if bias is None else bias.float()
        self.ones = torch.ones_like(self.scale)
        self.zeros = torch.zeros(len(self.scale), dtype=torch.int32)


_LINEAR = "linear_with_input_q_dq_qweight_dq_output_fp32"


class FewRows(_Linear):
    """Linear layer ``[N, C_in]`` -> ``[N, C_out]`` by fbgemm, which takes a quarter of oneDNN's time for one row."""

    def __init__(self, result: FloatResult) -> None:
        super().__init__(result)
        with quint8.packing_for("fbgemm"):
            weight = per_channel(result.layer.weight, replace(result.layer, weight_scale=self.ones))
            self.packed = torch.ops.quantized.linear_prepack(weight, self.bias)
        self.multiply = quint8.without_dispatch(getattr(torch.ops.quantized, _LINEAR).default)
        self.x = result.x

    @property
    def script(self) -> Script:
        calls = [
            Call("aten.int_repr"),
            Call("aten.sub", (float(self.zero_point),)),
            Call(f"quantized.{_LINEAR}", (1.0, self.zero_point, self.packed)),
            Call("aten.mul_", (self.scale,)),
        ]
        return Script((self.x,), tuple(calls), begins=False)

    def forward(self, q: Tensor) -> Tensor:
        integers = q.int_repr() if q.dtype is torch.quint8 else q
        y: Tensor = self.multiply(integers.sub(float(self.zero_point)), 1.0, self.zero_point, self.packed)
        return y.mul_(self.scale)


class ManyRows(_Linear):
    """Linear layer ``[*, C_in]`` -> ``[*, C_out]`` by oneDNN."""

    def __init__(self, result: FloatResult) -> None:
        super().__init__(result)
        self.packed = torch.ops.onednn.qlinear_prepack(result.layer.weight, None)
        self.multiply = quint8.without_dispatch(torch.ops.onednn.qlinear_pointwise.default)

    def forward(self, q: Tensor) -> Tensor:
        y: Tensor = self.multiply(
            quint8.as_bytes(q), 1.0, self.zero_point, self.packed, self.ones, self.zeros, self.bias, 1.0, 0,
            torch.float32, "none", [], "",
        )  # fmt: skip
        return y.mul_(self.scale)
