"""Operators other than layers and pools on NVIDIA GPUs: sums, products, concatenations, tables, quantization."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, fx

from fxpasses.quantization.int8.int8_calls import Int8Call, qparams_of
from fxpasses.quantization.numbers.qparams import QParams

from ..kernel import Kernel
from .kernels import byte_kernels
from .launching.launches import NO_CONTRACTION
from .launching.operands import as_signed, is_unsigned, limits_of, real_type, sum_ratios

BLOCK = 1024
"""Number of bytes that one program computes."""


def dense(q: Tensor) -> Tensor:
    """A tensor made dense, in the order of dimensions of elementwise kernels: images are channels last."""
    return q.contiguous(memory_format=torch.channels_last) if q.dim() == 4 else q.contiguous()


def _blocks(count: int) -> tuple[int]:
    return (-(-count // BLOCK),)


class _Pointwise(Kernel):
    """Base of operators on bytes: it keeps ratios, in the type to round in, limits and zero points."""

    def __init__(self, call: Int8Call, ratios: list[float], proved: bool, device: torch.device) -> None:
        super().__init__()
        self.y, self.unsigned = call.y, is_unsigned(call.x[0])
        self.ratios = torch.tensor(ratios, dtype=real_type(proved, sum(ratios)), device=device)
        limits = limits_of(call) + [x.zero_point for x in call.x]
        self.limits = torch.tensor(limits, dtype=torch.int32, device=device)

    def result_like(self, q: Tensor) -> Tensor:
        return torch.empty_like(q, dtype=self.y.grid.dtype)


class CudaAdd(_Pointwise):
    """Two tensors -> their sum; an operand of fewer values is repeated first."""

    def __init__(self, call: Int8Call, proved: bool, device: torch.device) -> None:
        super().__init__(call, sum_ratios(call), proved, device)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        a, b = (dense(q) for q in torch.broadcast_tensors(a, b))
        y, count = self.result_like(a), a.numel()
        byte_kernels.add_bytes[_blocks(count)](
            as_signed(a), as_signed(b), as_signed(y), self.ratios, self.limits, count, UNSIGNED=self.unsigned,
            BLOCK=BLOCK, **NO_CONTRACTION,
        )  # fmt: skip
        return y


class CudaMul(_Pointwise):
    """Two tensors -> their product; one may have a single value for each image and channel, others are repeated."""

    def __init__(self, call: Int8Call, proved: bool, device: torch.device) -> None:
        super().__init__(call, [call.x[0].scale * call.x[1].scale / call.y.scale], proved, device)
        low, high, zero_point, first, second = self.limits.tolist()
        self.swapped = torch.tensor([low, high, zero_point, second, first], dtype=torch.int32, device=device)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        limits = self.limits
        if a.numel() < b.numel():
            a, b, limits = b, a, self.swapped
        gated = a.dim() == 4 and a.shape != b.shape == (*a.shape[:2], 1, 1)
        if not gated:
            a, b = torch.broadcast_tensors(a, b)
        a, b = dense(a), dense(b)
        y, count = self.result_like(a), a.numel()
        area = a.shape[2] * a.shape[3] if gated else 1
        byte_kernels.multiply_bytes[_blocks(count)](
            as_signed(a), as_signed(b), as_signed(y), self.ratios, limits, count, a.shape[1] if gated else 1, area,
            PER_CHANNEL=gated, UNSIGNED=self.unsigned, BLOCK=BLOCK, **NO_CONTRACTION,
        )  # fmt: skip
        return y


class CudaCat(Kernel):
    """Concatenates tensors, each rescaled to the output's grid, along the innermost dimension in memory at once."""

    def __init__(self, call: Int8Call, proved: bool, device: torch.device) -> None:
        super().__init__()
        self.dim, self.y = int(call.settings.get("dim", 0)), call.y
        self.equal = all(x == call.y for x in call.x) and call.clamp is None
        self.parts = [self._part(call, x, proved, device) for x in call.x]

    @staticmethod
    def _part(call: Int8Call, x: QParams, proved: bool, device: torch.device) -> tuple[Tensor, Tensor, bool]:
        ratio = x.scale / call.y.scale
        ratios = torch.tensor([ratio], dtype=real_type(proved, ratio), device=device)
        limits = torch.tensor([*limits_of(call), x.zero_point], dtype=torch.int32, device=device)
        return ratios, limits, is_unsigned(x)

    def forward(self, *parts: Tensor) -> Tensor:
        if self.equal:
            return torch.cat(parts, self.dim)
        rank = parts[0].dim()
        if self.dim % rank != (1 if rank == 4 else rank - 1):
            apart = [self._joined([q], [constants]) for q, constants in zip(parts, self.parts, strict=True)]
            return torch.cat(apart, self.dim)
        return self._joined(parts, self.parts)

    def _joined(self, parts: Sequence[Tensor], constants: Sequence[tuple[Tensor, Tensor, bool]]) -> Tensor:
        """Tensors rescaled and concatenated along the innermost dimension."""
        rank = parts[0].dim()
        dim = 1 if rank == 4 else rank - 1
        shape, at = list(parts[0].shape), 0
        shape[dim] = width = sum(part.shape[dim] for part in parts)
        y = dense(torch.empty(shape, dtype=self.y.grid.dtype, device=parts[0].device))
        flat = as_signed(torch.as_strided(y, (y.numel(),), (1,)))
        for q, (ratios, limits, unsigned) in zip(parts, constants, strict=True):
            byte_kernels.rescale_rows[_blocks(q.numel())](
                as_signed(dense(q)), flat[at:], ratios, limits, q.numel(), q.shape[dim], width, UNSIGNED=unsigned,
                BLOCK=BLOCK, **NO_CONTRACTION,
            )  # fmt: skip
            at += q.shape[dim]
        return y


class CudaTable(Kernel):
    """An elementwise operator as a table of its 256 results.

    Args:
        call: the call of the operator.
        table: its results in the order of the input's levels.
    """

    def __init__(self, call: Int8Call, table: Tensor, device: torch.device) -> None:
        super().__init__()
        self.y = call.y
        by_byte = table if is_unsigned(call.x[0]) else table.roll(len(table) // 2)
        self.table = as_signed(by_byte).to(device)

    def forward(self, q: Tensor) -> Tensor:
        q = dense(q)
        y = torch.empty_like(q, dtype=self.y.grid.dtype)
        byte_kernels.look_up[_blocks(q.numel())](as_signed(q), as_signed(y), self.table, q.numel(), BLOCK=BLOCK)
        return y


class CudaEntrance(Kernel):
    """Quantization of an input: float32 -> bytes, images channels last."""

    def __init__(self, node: fx.Node, device: torch.device) -> None:
        super().__init__()
        self.q = qparams_of(node)
        self.scale = torch.tensor([self.q.scale], dtype=torch.float32, device=device)

    def forward(self, x: Tensor) -> Tensor:
        x = dense(x)
        y = torch.empty_like(x, dtype=self.q.grid.dtype)
        grid = self.q.grid
        byte_kernels.quantize_floats[_blocks(x.numel())](
            x, as_signed(y), self.scale, self.q.zero_point, grid.low, grid.high, x.numel(), BLOCK=BLOCK,
            **NO_CONTRACTION,
        )  # fmt: skip
        return y
