"""Exact products of integer matrices: ``torch._int_mm`` where it has a kernel, float32 products in pieces elsewhere.

torch's own ``[M, K] x [K, N]`` of int8 has a fast kernel on x86 with VNNI and on CUDA. On x86 without VNNI it is a loop
over single values, far slower than a float32 product. That product is exact as long as its sums stay within ``2**24``,
so it is taken over pieces of K, and the pieces are added as integers. Other CPUs keep torch's own: some of them may be
told to multiply float32 as bfloat16, which is not exact, and no x86 without VNNI can.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from ..cpu import cpu_flags, has_vnni, is_x86

_LARGEST = 128
"""Largest magnitude of an int8 value."""
PIECE = 2**24 // _LARGEST**2
"""Number of products of two int8 values whose sum float32 holds exactly, in whatever order they are added."""


def integer_product(q: Tensor, weight: Tensor) -> Tensor:
    """Multiply ``q``, float32 ``[M, K]`` with whole values from -128 to 127, by ``weight``, int8 ``[K, N]``.

    Returns:
        The exact sums, int32 ``[M, N]``.
    """
    if weight.shape[0] == 1:  # torch's kernel for VNNI takes a transposed row, with strides of one, for something else
        return q.to(torch.int32) * weight.to(torch.int32)
    if q.is_cuda or not _pieces_are_faster():
        product: Tensor = torch.ops.aten._int_mm(q.to(torch.int8), weight)
        return product
    sums = _piece(q, weight, 0)
    for first in range(PIECE, weight.shape[0], PIECE):
        sums += _piece(q, weight, first)
    return sums


def _piece(q: Tensor, weight: Tensor, first: int) -> Tensor:
    rows = slice(first, first + PIECE)
    return (q[:, rows] @ weight[rows].to(torch.float32)).to(torch.int32)


@cache
def _pieces_are_faster() -> bool:
    flags = cpu_flags()
    return is_x86() and bool(flags) and not has_vnni(flags)
