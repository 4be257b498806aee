"""Pools on NVIDIA GPUs: maxima, averages of windows, and averages of whole images."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from fxpasses.graph.operators import Trait
from fxpasses.quantization.int8.int8_calls import Int8Call

from ..kernel import Kernel
from .kernels import byte_kernels
from .launching.launches import NO_CONTRACTION
from .launching.operands import as_signed, is_unsigned, limits_of
from .launching.tiles import CHANNELWISE, Tile, usual_channelwise
from .launching.tuning import Choice, Launch
from .launching.window import Window, pair
from .pointwise import dense


class _Pool(Kernel):
    """Base of pools over windows of images, channels last; averages are few, and so are rounded in float64."""

    def __init__(self, call: Int8Call, device: torch.device, *, maximum: bool) -> None:
        super().__init__()
        self.y, self.unsigned, self.maximum = call.y, is_unsigned(call.x[0]), maximum
        self.inside_only = False
        self.ratios = torch.tensor([call.x[0].scale / call.y.scale], dtype=torch.float64, device=device)
        self.limits = torch.tensor([*limits_of(call), call.x[0].zero_point], dtype=torch.int32, device=device)

    def pooled(self, q: Tensor, window: Window, out: tuple[int, int]) -> Tensor:
        q = dense(q)
        count, channels, height, width = q.shape
        y = torch.empty(
            (count, channels, *out), dtype=self.y.grid.dtype, device=q.device, memory_format=torch.channels_last
        )
        m = count * out[0] * out[1]

        def start(tile: Tile, launch: Launch) -> None:
            launch(byte_kernels.pool, (-(-m // tile.bm) * -(-channels // tile.bn),))(
                as_signed(q), as_signed(y), self.ratios, self.limits, m, channels,
                *window.arguments(height, width, out), MAXIMUM=self.maximum,
                INSIDE_ONLY=self.inside_only, UNSIGNED=self.unsigned, BM=tile.bm, BN=tile.bn, num_warps=tile.warps,
                **NO_CONTRACTION,
            )  # fmt: skip

        shape = (m, channels, *window.size, *window.stride, self.maximum)
        Choice("pool", shape, CHANNELWISE, usual_channelwise(m, channels)).launch(start)
        return y


class CudaWindows(_Pool):
    """``[N, C, H, W]`` -> ``[N, C, H', W']``: max_pool2d or avg_pool2d."""

    def __init__(self, call: Int8Call, device: torch.device) -> None:
        super().__init__(call, device, maximum=Trait.AVERAGES not in call.operator.traits)
        s = call.settings
        size, stride = pair(s["kernel_size"]), s.get("stride")
        self.window = Window(
            size,
            size if stride in (None, [], ()) else pair(stride),
            pair(s.get("padding", 0)),
            pair(s.get("dilation", 1)),
        )
        self.inside_only = not s.get("count_include_pad", True)
        self._function: Callable[..., Tensor] = call.node.target  # type: ignore[assignment]  # a pool
        self._settings = s
        self._sizes: dict[tuple[int, int], tuple[int, int]] = {}

    def forward(self, q: Tensor) -> Tensor:
        size = q.shape[2], q.shape[3]
        if size not in self._sizes:  # as torch says, whatever ceil_mode is
            _, _, down, right = self._function(torch.empty(1, 1, *size, device="meta"), **self._settings).shape
            self._sizes[size] = down, right
        return self.pooled(q, self.window, self._sizes[size])


class CudaGlobalAverage(_Pool):
    """Average of whole images of any size: ``[N, C, H, W]`` -> ``[N, C, 1, 1]``."""

    def __init__(self, call: Int8Call, device: torch.device) -> None:
        super().__init__(call, device, maximum=False)

    def forward(self, q: Tensor) -> Tensor:
        return self.pooled(q, Window((q.shape[2], q.shape[3])), (1, 1))


class CudaMean(_Pool):
    """Average over some dimensions."""

    def __init__(self, call: Int8Call, device: torch.device) -> None:
        super().__init__(call, device, maximum=False)
        dims = call.settings.get("dim")
        self.dims = [dims] if isinstance(dims, int) else list(dims or [])
        self.keeps = bool(call.settings.get("keepdim", False))

    def forward(self, q: Tensor) -> Tensor:
        over = sorted(dim % q.dim() for dim in self.dims) or list(range(q.dim()))
        kept = [dim for dim in range(q.dim()) if dim not in over]
        images = q.permute(*kept[:-1], *over, *kept[-1:])  # [*, positions, channels]
        size, count = [q.shape[dim] for dim in kept], math.prod(q.shape[dim] for dim in over)
        channels = size[-1] if size else 1
        flat = images.reshape(-1, count, channels)[..., None].transpose(1, 2)
        y = self.pooled(flat, Window((count, 1)), (1, 1))
        return y.reshape([1 if dim in over else q.shape[dim] for dim in range(q.dim())] if self.keeps else size)
