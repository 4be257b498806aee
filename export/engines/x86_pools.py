"""Pools on x86: the average of a whole image, and maxima."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from fxpasses.quantization.int8_calls import Int8Call
from fxpasses.quantization.qparams import IntType

from . import quint8
from .kernel import Kernel, OneCall
from .reference import output_limits


class GlobalAveragePool(Kernel):
    """``[N, C, H, W]`` -> ``[N, C, 1, 1]``: an exact integer sum, one multiplication, one rounding.

    At the size of image it was captured with, floats take the sums where that gives the same for every one of them:
    three operators instead of seven, which cost a net 5 to 10 us each with cold caches.
    """

    def __init__(self, call: Int8Call) -> None:
        super().__init__()
        self.zero_point, self.scale = call.x[0].zero_point, call.x[0].scale
        self.y, self.limits = call.y, output_limits(call)
        area = math.prod(call.inputs[0].meta["shape"][2:])
        self.area = area if quint8.is_available() and self._agrees_in_floats(area, call.x[0].grid) else None

    def forward(self, q: Tensor) -> Tensor:
        area, levels = q.shape[2] * q.shape[3], quint8.as_bytes(q)
        if area == self.area:
            return self._from_floats(levels.sum((2, 3), keepdim=True, dtype=torch.float32), area)
        return self._exact(levels.sum((2, 3), keepdim=True, dtype=torch.int32), area)

    def _exact(self, total: Tensor, area: int) -> Tensor:
        ratio = self.scale / self.y.scale / area
        steps = (total.double() - area * self.zero_point).mul_(ratio).round_().add_(self.y.zero_point)
        return steps.clamp_(*self.limits).to(self.y.grid.dtype)

    def _from_floats(self, total: Tensor, area: int) -> Tensor:
        if self.zero_point:
            total.sub_(area * self.zero_point)
        return torch.quantize_per_tensor(total.mul_(self.scale / area), self.y.scale, self.y.zero_point, torch.quint8)

    def _agrees_in_floats(self, area: int, grid: IntType) -> bool:
        if area > _LARGEST_AREA:
            return False
        totals = torch.arange(area * grid.low, area * grid.high + 1, dtype=torch.int32)
        with quint8.building():
            whole, few = (
                torch.cat([self._from_floats(some.float(), area).int_repr() for some in totals.split(size)])
                for size in (len(totals), _LESS_THAN_A_VECTOR)
            )
        expected = self._exact(totals, area)
        return torch.equal(whole, expected) and torch.equal(few, expected)


_LARGEST_AREA = 1 << 8
"""Positions of an image, whose sums are all tried: 65 000, in 20 ms."""
_LESS_THAN_A_VECTOR = 15


class ByteMaxPool(Kernel):
    """``[N, C, H, W]`` -> ``[N, C, H', W']``; padding never wins."""

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
    def one_call(self) -> OneCall:
        return OneCall("aten.quantized_max_pool2d", (self.x,), self.arguments)

    def forward(self, q: Tensor) -> Tensor:
        pooled: Tensor = torch.ops.quantized.max_pool2d(quint8.as_bytes(q), *self.arguments)
        return pooled


def _pair(value: int | Sequence[int]) -> list[int]:
    return [value, value] if isinstance(value, int) else [int(v) for v in value]
