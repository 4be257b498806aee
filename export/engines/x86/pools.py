"""Pools on x86: the average of a whole image, and maximum pools."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from fxpasses.graph.meta_keys import SHAPE
from fxpasses.quantization.int8.int8_calls import Int8Call

from .. import quint8
from ..kernel import Call, Kernel, Script
from ..reference import output_limits


class GlobalAveragePool(Kernel):
    """Average pool ``[N, C, H, W]`` -> ``[N, C, 1, 1]`` for any image size."""

    def __init__(self, call: Int8Call) -> None:
        super().__init__()
        self.x, self.y = call.x[0], call.y
        self.constants = (self.x.zero_point, self.x.scale / self.y.scale, self.y.zero_point, *output_limits(call))
        self.is_small = math.prod(call.inputs[0].meta[SHAPE][1:]) <= _WORTH_COPYING

    @property
    def script(self) -> Script | None:
        if not self.is_small:
            return None
        calls = [
            Call("aten.int_repr"),
            Call(average, self.constants),
            Call("aten._make_per_tensor_quantized_tensor", (self.y.scale, self.y.zero_point)),
        ]
        return Script((self.x,), tuple(calls), begins=False)

    def forward(self, q: Tensor) -> Tensor:
        return average(quint8.as_bytes(q), *self.constants)


_WORTH_COPYING = 1 << 17
"""Largest number of values per sample for TorchScript, which has to copy quint8 to bytes (0.3 ns per value)."""


def average(levels: Tensor, x_zero_point: int, ratio: float, zero_point: int, low: int, high: int) -> Tensor:
    # also compiled by TorchScript: an exact integer sum, one multiplication, one rounding
    area = levels.size(2) * levels.size(3)
    total = torch.sum(levels, [2, 3], keepdim=True, dtype=torch.int32)
    steps = (total.to(torch.float64) - area * x_zero_point).mul_(ratio / area).round_().add_(zero_point)
    return steps.clamp_(low, high).to(torch.uint8)


class ByteMaxPool(Kernel):
    """Maximum pool ``[N, C, H, W]`` -> ``[N, C, H', W']``; padding is never the maximum."""

    def __init__(self, call: Int8Call) -> None:
        super().__init__()
        self.x = call.x[0]
        s = call.settings
        kernel, stride = _pair(s["kernel_size"]), s.get("stride")
        self.arguments = (
            kernel,
            kernel if stride in (None, [], ()) else _pair(stride),
            _pair(s.get("padding", 0)),
            _pair(s.get("dilation", 1)),
            bool(s.get("ceil_mode", False)),
        )

    @property
    def script(self) -> Script:
        return Script((self.x,), (Call("aten.quantized_max_pool2d", self.arguments),))

    def forward(self, q: Tensor) -> Tensor:
        pooled: Tensor = torch.ops.quantized.max_pool2d(quint8.as_bytes(q), *self.arguments)
        return pooled


def _pair(value: int | Sequence[int]) -> list[int]:
    return [value, value] if isinstance(value, int) else [int(v) for v in value]
