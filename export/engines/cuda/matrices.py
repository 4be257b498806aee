"""Products of two activations on NVIDIA GPUs: matrices, batches of them, and vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from fxpasses.quantization.int8.int8_calls import Int8Call

from ..kernel import Kernel
from ..reference import ReferenceKernel
from .kernels import matrix_kernels
from .launching.launches import NO_CONTRACTION
from .launching.operands import HALF, as_signed, is_unsigned, limits_of, real_type, signed_zero
from .launching.tiles import Tile, products, usual_product
from .launching.tuning import Choice, Launch
from .layers import MOST_PLACES
from .on_host import OnHost

MOST_PRODUCTS = 2**15
"""Largest number of products of two centred bytes, each up to 2**16, whose sum fits into 32 bits."""


class CudaMatmul(Kernel):
    """``[*, M, K]`` and ``[*, K, N]`` -> ``[*, M, N]``, bytes; leading dimensions are broadcast as in ``matmul``.

    Args:
        call: of a matrix product.
        proved: whether its scales keep float32 from rounding otherwise than exact arithmetic.
        device: the device to compute on.
    """

    def __init__(self, call: Int8Call, proved: bool, device: torch.device) -> None:
        super().__init__()
        ratio = call.x[0].scale * call.x[1].scale / call.y.scale
        self.y, self.ratios = call.y, torch.tensor([ratio], dtype=real_type(proved, ratio), device=device)
        self.limits = torch.tensor(limits_of(call), dtype=torch.int32, device=device)
        self.unsigned = [is_unsigned(x) for x in call.x]
        self.zeros = [signed_zero(x) for x in call.x]
        self._longer = OnHost(ReferenceKernel(call)).function

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        left, right = a[None] if a.dim() == 1 else a, b[:, None] if b.dim() == 1 else b
        largest = max(_span(left), _span(right), left.shape[-2] * right.shape[-1])
        if left.shape[-1] > MOST_PRODUCTS or largest > MOST_PLACES:
            return self._longer(a, b)  # type: ignore[no-any-return]  # a kernel's result
        batch = torch.broadcast_shapes(left.shape[:-2], right.shape[:-2])
        m, n = left.shape[-2], right.shape[-1]
        y = torch.empty((*batch, m, n), dtype=self.y.grid.dtype, device=a.device)
        if y.numel():
            self._launch(
                _in_two_batches(as_signed(left), batch), _in_two_batches(as_signed(right), batch), as_signed(y)
            )
        y = y.squeeze(-1) if b.dim() == 1 else y
        return y.squeeze(-1 if b.dim() == 1 else -2) if a.dim() == 1 else y

    def _launch(self, a: Tensor, b: Tensor, y: Tensor) -> None:
        outer, inner, m, k = a.shape
        n = b.shape[-1]
        (first, second), of_rows, of_columns = self.zeros, y, y
        if second:
            of_rows = second * self._sums(a, -1, 0)
        if first:
            of_columns = first * (self._sums(b, -2, 1) - k * second)

        def start(tile: Tile, launch: Launch) -> None:
            launch(matrix_kernels.multiply_matrices, (outer * inner * -(-m // tile.bm) * -(-n // tile.bn),))(
                a, b, y, of_rows, of_columns, self.ratios, self.limits, m, n, k, inner, *a.stride(), *b.stride(),
                UNSIGNED_A=self.unsigned[0], UNSIGNED_B=self.unsigned[1], ROWS=second != 0, COLUMNS=first != 0,
                EVEN=k % tile.bk == 0, BM=tile.bm, BN=tile.bn, BK=tile.bk, num_warps=tile.warps,
                num_stages=tile.stages, **NO_CONTRACTION,
            )  # fmt: skip

        shape = (outer * inner, m, n, k, a.stride(-1) == 1, b.stride(-2) == 1)
        Choice("matrices", shape, products(k), usual_product(m, n, k)).launch(start)

    def _sums(self, q: Tensor, dim: int, operand: int) -> Tensor:
        """Sums of an operand's bytes as they are multiplied, int32, dense."""
        if not self.unsigned[operand]:
            return q.sum(dim, dtype=torch.int32)
        return q.view(torch.uint8).sum(dim, dtype=torch.int32) - HALF * q.shape[dim]


def _span(q: Tensor) -> int:
    """Number of places in memory from the first to the last one of a matrix."""
    return 1 + sum((size - 1) * stride for size, stride in zip(q.shape[-2:], q.stride()[-2:], strict=True))


def _in_two_batches(q: Tensor, batch: Sequence[int]) -> Tensor:
    """Matrices in two dimensions of batches, broadcast; they are copied only if three or more have to become two."""
    whole = q.expand(*batch, *q.shape[-2:])
    return whole.reshape(math.prod(batch[:-1]), batch[-1] if batch else 1, *q.shape[-2:])
