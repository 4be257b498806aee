"""Largest possible results of operators whose number of elements depends on values, for runs on shapes only.

A mask picks at most all of its elements. The largest size is enough to check the limits on tensors of a loaded graph,
and results computed from two such tensors over the same mask have matching sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def _nonzero(x: Tensor) -> Tensor:
    return torch.empty((x.numel(), x.dim()), dtype=torch.int64)


def _nonzero_numpy(x: Tensor) -> list[Tensor]:
    return [torch.empty(x.numel(), dtype=torch.int64) for _ in range(max(1, x.dim()))]


def _masked_select(x: Tensor, mask: Tensor) -> Tensor:
    picked, _ = torch.broadcast_tensors(x, mask)
    return torch.flatten(picked)


def _unique(x: Tensor, *settings: Any, **named: Any) -> tuple[Tensor, Tensor, Tensor]:
    numbers = torch.empty(x.numel(), dtype=torch.int64)
    return x.flatten(), numbers.reshape(x.shape), numbers


def _unique_consecutive(x: Tensor, *settings: Any, **named: Any) -> tuple[Tensor, Tensor, Tensor]:
    dim = settings[2] if len(settings) > 2 else named.get("dim")
    return _unique(x) if dim is None else _unique_dim(x, dim)


def _unique_dim(x: Tensor, dim: int, *settings: Any, **named: Any) -> tuple[Tensor, Tensor, Tensor]:
    numbers = torch.empty(x.shape[dim], dtype=torch.int64)
    return x.clone(), numbers, numbers


def _index(x: Tensor, indices: list[Tensor | None]) -> Tensor:
    whole: list[Tensor | None] = []
    for index in indices:
        if index is not None and index.dtype in (torch.bool, torch.uint8):
            whole += [torch.zeros(index.numel(), dtype=torch.int64)] * index.dim()
        else:
            whole.append(index)
    found: Tensor = torch.ops.aten.index.Tensor(x, whole)
    return found


def _nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    return torch.empty(boxes.shape[0], dtype=torch.int64)


LARGEST: dict[str, Callable[..., Any]] = {
    "aten.nonzero": _nonzero,
    "aten.argwhere": _nonzero,
    "aten.nonzero_numpy": _nonzero_numpy,
    "aten.masked_select": _masked_select,
    "aten._unique2": _unique,
    "aten.unique_dim": _unique_dim,
    "aten.unique_consecutive": _unique_consecutive,
    "aten.index": _index,
    "torchvision.nms": _nms,
}
"""Replacements of operators, by name, that give their largest possible results."""
