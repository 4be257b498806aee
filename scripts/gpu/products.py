"""Highest speed of int8 products on the card, and the gain from 2:4 sparsity in linear and 1x1 layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.sparse import to_sparse_semi_structured

from .clocks import milliseconds

CEILINGS = ((4096, 4096, 4096), (8192, 8192, 8192))
LINEAR_AND_1X1 = {
    "linear 2048 -> 1000, batch 256": (256, 1000, 2048),
    "1x1 256 -> 1024 at 14 x 14, batch 64": (12544, 1024, 256),
    "1x1 1024 -> 512 at 14 x 14, batch 64": (12544, 512, 1024),
}
_TINY = (32, 16, 32)


def ceilings(device: str) -> list[dict[str, object]]:
    """TOPS of int8 products: ``torch._int_mm`` as it is, and compiled."""
    on_gpu, found = device.startswith("cuda"), []
    for m, n, k in CEILINGS if on_gpu else (_TINY,):
        a, b = _bytes(m, k, device), _bytes(n, k, device).t()
        ways: dict[str, Any] = {"torch._int_mm": torch._int_mm}
        if on_gpu:
            ways["torch._int_mm, compiled"] = torch.compile(torch._int_mm, mode="max-autotune-no-cudagraphs")
        for name, way in ways.items():
            took = milliseconds(lambda way=way, a=a, b=b: way(a, b), device)  # type: ignore[misc]  # bound at once
            found.append({"way": name, "m": m, "n": n, "k": k, "ms": took, "tops": 2e-9 * m * n * k / took})
    return found


def sparse(device: str) -> list[dict[str, object]]:
    """Dense and 2:4 sparse int8 products of the same sizes: times by way, or why a way cannot run here.

    Two of four neighbouring weights are zero. Results of ways that give int32 are compared with the dense one's.
    """
    on_gpu, found = device.startswith("cuda"), list[dict[str, object]]()
    for name, (m, n, k) in LINEAR_AND_1X1.items() if on_gpu else [("tiny", _TINY)]:
        n = -(-n // 32) * 32
        a, weight = _bytes(m, k, device), _bytes(n, k, device)
        weight[:, 0::4] = weight[:, 1::4] = 0
        dense = torch._int_mm(a, weight.t())
        entry: dict[str, object] = {"layer": name, "m": m, "n": n, "k": k, "measured": on_gpu}
        entry["dense_ms"] = milliseconds(lambda a=a, w=weight: torch._int_mm(a, w.t()), device)  # type: ignore[misc]  # bound at once
        entry["sparse"] = [_sparse_way(way, make, a, weight, dense, device) for way, make in SPARSE_WAYS.items()]
        found.append(entry)
    return found


def _sparse_way(
    way: str, make: Callable[[Tensor, Tensor], Callable[[], Tensor]], a: Tensor, weight: Tensor, dense: Tensor,
    device: str,
) -> dict[str, object]:  # fmt: skip
    try:
        call = make(weight, a)
        y = call()
        exact = bool(torch.equal(y.t(), dense)) if y.dtype is torch.int32 else None
        return {"way": way, "ms": milliseconds(call, device), "gives": str(y.dtype), "exact": exact}
    except (RuntimeError, NotImplementedError) as error:
        return {"way": way, "why_not": str(error).splitlines()[0]}


def _semi_structured(weight: Tensor, a: Tensor) -> Callable[[], Tensor]:
    packed = to_sparse_semi_structured(weight)
    return lambda: torch.mm(packed, a.t())


def _cusparselt(weight: Tensor, a: Tensor) -> Callable[[], Tensor]:
    packed = torch._cslt_compress(weight)
    return lambda: torch._cslt_sparse_mm(packed, a.t(), out_dtype=torch.int32)


SPARSE_WAYS: dict[str, Callable[[Tensor, Tensor], Callable[[], Tensor]]] = {
    "torch.sparse.to_sparse_semi_structured": _semi_structured,
    "torch._cslt_sparse_mm, int32": _cusparselt,
}
"""Ways to multiply by a 2:4 sparse weight: each takes the weight and the dense operand, and returns a call."""


def _bytes(rows: int, columns: int, device: str) -> Tensor:
    return torch.randint(-127, 128, (rows, columns), dtype=torch.int8, device=device)
