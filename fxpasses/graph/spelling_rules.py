"""Rules for spellings whose arguments differ from the canonical call in more than their names.

Each rule takes the arguments by name and returns the canonical ones, or None if the call has no canonical form and is
not rewritten. All are exact.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from .meta_keys import DTYPE
from .shapes import is_tensor, shape_of

Bound = dict[str, Any]

_TO_THE_END = 2**63 - 1
"""Smallest number that ATen writes for an open end of a slice."""


def plain_bounds(bound: Bound) -> Bound | None:
    """Accept a clamp between numbers; bounds that are tensors have no canonical form."""
    return None if is_tensor(bound.get("min")) or is_tensor(bound.get("max")) else bound


def pad_with_value(bound: Bound) -> Bound:
    """Pad with one value, as ``constant_pad_nd`` always does."""
    return bound | {"mode": "constant"}


def reshape_to_sizes(bound: Bound) -> Bound | None:
    """Accept a reshape; ``x.view(dtype)`` reinterprets bits and is none."""
    shape = bound.get("shape")
    return None if isinstance(shape, tuple) and any(isinstance(s, torch.dtype) for s in shape) else bound


def slice_to_index(bound: Bound) -> Bound | None:
    """Turn ``aten.slice(x, dim, start, end, step)`` into ``x[:, ..., start:end:step]``."""
    start, end, step = (bound.get(k) for k in ("start", "end", "step"))
    end = None if isinstance(end, int) and end >= _TO_THE_END else end
    return _index(bound, slice(None if start == 0 else start, end, None if step == 1 else step))


def narrow_to_index(bound: Bound) -> Bound | None:
    """Turn ``x.narrow(dim, start, length)`` into a slice; a negative start would need the size."""
    start, length = bound.get("start"), bound.get("length")
    if not isinstance(start, int) or not isinstance(length, int) or start < 0:
        return None
    return _index(bound, slice(start, start + length))


def select_to_index(bound: Bound) -> Bound | None:
    """Turn ``x.select(dim, i)`` into ``x[:, ..., i]``."""
    return _index(bound, bound.get("index"))


def _index(bound: Bound, index: object) -> Bound | None:
    rank, dim = _rank(bound.get("input")), bound.get("dim", 0)
    if not rank or not isinstance(dim, int):
        return None
    return {"input": bound["input"], "index": (slice(None),) * (dim % rank) + (index,)}


def swap_two_dims(bound: Bound) -> Bound | None:
    """Turn ``t`` and ``T`` into a swap of the two dimensions of a matrix; for a vector they would be the identity."""
    source = bound.get("input")
    return {"input": source, "dim0": 0, "dim1": 1} if _rank(source) == 2 else None


def swap_last_dims(bound: Bound) -> Bound | None:
    """Turn ``mT`` and ``adjoint`` of real matrices into a swap of their dimensions."""
    source = bound.get("input")
    dtype = source.meta.get(DTYPE) if isinstance(source, fx.Node) else None
    is_real = isinstance(dtype, torch.dtype) and not dtype.is_complex
    return {"input": source, "dim0": -2, "dim1": -1} if is_real and _rank(source) >= 2 else None


def moved_dims(bound: Bound) -> Bound | None:
    """Turn ``movedim(x, source, destination)`` into an order of all dimensions."""
    rank = _rank(bound.get("input"))
    sources, places = (_numbers(bound.get(key)) for key in ("source", "destination"))
    if not rank or sources is None or places is None or len(sources) != len(places):
        return None
    moved = dict(zip((p % rank for p in places), (s % rank for s in sources), strict=True))
    others = iter([d for d in range(rank) if d not in moved.values()])
    return {"input": bound["input"], "dims": tuple(moved[p] if p in moved else next(others) for p in range(rank))}


def _numbers(value: Any) -> list[int] | None:
    numbers: list[Any] = list(value) if isinstance(value, (list, tuple)) else [value]
    return numbers if all(isinstance(n, int) for n in numbers) else None


def beside(bound: Bound) -> Bound | None:
    """Turn ``hstack`` of tensors with two dimensions or more into a ``cat``; vectors would first become columns."""
    return _cat(bound, 2, 1)


def below(bound: Bound) -> Bound | None:
    """Turn ``vstack`` of such tensors into a ``cat``."""
    return _cat(bound, 2, 0)


def behind(bound: Bound) -> Bound | None:
    """Turn ``dstack`` of tensors with three dimensions or more into a ``cat``."""
    return _cat(bound, 3, 2)


def _cat(bound: Bound, least_rank: int, dim: int) -> Bound | None:
    parts = bound.get("input")
    known = isinstance(parts, (list, tuple)) and bool(parts) and all(_rank(part) >= least_rank for part in parts)
    return bound | {"dim": dim} if known else None


def _rank(value: object) -> int:
    return len(shape_of(value) or ()) if isinstance(value, fx.Node) else 0


def upsample_sizes(bound: Bound) -> Bound | None:
    """Accept ``aten.upsample_*`` with a size or a scale; ``interpolate`` does not take both at once."""
    both = bound.get("size") is not None and bound.get("scale_factor") is not None
    return None if both else bound
