"""Highest speed of int8 products on the card, and the gain from 2:4 sparsity in linear and 1x1 layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

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
    """Times of dense and 2:4 sparse int8 products of the same sizes; an entry without a time says why."""
    found: list[dict[str, object]] = []
    for name, (m, n, k) in LINEAR_AND_1X1.items() if device.startswith("cuda") else [("tiny", _TINY)]:
        entry: dict[str, object] = {"layer": name, "m": m, "n": n, "k": k}
        n = -(-n // 32) * 32
        a, weight = _bytes(m, k, device), _bytes(n, k, device)
        weight[:, 0::4] = weight[:, 1::4] = 0
        entry["dense_ms"] = milliseconds(lambda a=a, w=weight: torch._int_mm(a, w.t()), device)  # type: ignore[misc]  # bound at once
        try:
            packed = torch._cslt_compress(weight)
            entry["sparse_ms"] = milliseconds(lambda p=packed, a=a: torch._cslt_sparse_mm(p, a.t()), device)  # type: ignore[misc]  # bound at once
        except (RuntimeError, NotImplementedError) as error:
            entry["why_not"] = str(error).splitlines()[0]
        found.append(entry)
    return found


def _bytes(rows: int, columns: int, device: str) -> Tensor:
    return torch.randint(-127, 128, (rows, columns), dtype=torch.int8, device=device)
