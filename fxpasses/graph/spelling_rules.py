"""Spellings whose arguments, not only their names, differ from the canonical call.

Each rule takes the arguments bound by name and returns the canonical ones, or None where the call has no canonical
form and stays as it is. All are exact.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from .shapes import is_tensor, shape_of

Bound = dict[str, Any]

_TO_THE_END = 2**63 - 1
"""How ATen writes an open end of a slice."""


def plain_bounds(bound: Bound) -> Bound | None:
    """A clamp between numbers; bounds that are tensors have no canonical form."""
    return None if is_tensor(bound.get("min")) or is_tensor(bound.get("max")) else bound


def pad_with_value(bound: Bound) -> Bound:
    """``constant_pad_nd`` pads with one value, by definition."""
    return bound | {"mode": "constant"}


def reshape_to_sizes(bound: Bound) -> Bound | None:
    """``x.view(dtype)`` reinterprets bits: not a reshape."""
    shape = bound.get("shape")
    return None if isinstance(shape, tuple) and any(isinstance(s, torch.dtype) for s in shape) else bound


def slice_to_index(bound: Bound) -> Bound | None:
    """``aten.slice(x, dim, start, end, step)`` is ``x[:, ..., start:end:step]``."""
    start, end, step = (bound.get(k) for k in ("start", "end", "step"))
    end = None if isinstance(end, int) and end >= _TO_THE_END else end
    return _index(bound, slice(None if start == 0 else start, end, None if step == 1 else step))


def narrow_to_index(bound: Bound) -> Bound | None:
    """``x.narrow(dim, start, length)`` is a slice; a negative start counts from an end not known here."""
    start, length = bound.get("start"), bound.get("length")
    if not isinstance(start, int) or not isinstance(length, int) or start < 0:
        return None
    return _index(bound, slice(start, start + length))


def select_to_index(bound: Bound) -> Bound | None:
    """``x.select(dim, i)`` is ``x[:, ..., i]``."""
    return _index(bound, bound.get("index"))


def _index(bound: Bound, index: object) -> Bound | None:
    rank, dim = _rank(bound.get("input")), bound.get("dim", 0)
    if not rank or not isinstance(dim, int):
        return None
    return {"input": bound["input"], "index": (slice(None),) * (dim % rank) + (index,)}


def swap_two_dims(bound: Bound) -> Bound | None:
    """``t`` swaps the dimensions of a matrix; of a vector it is the identity, which has another spelling."""
    return bound | {"dim0": 0, "dim1": 1} if _rank(bound.get("input")) == 2 else None


def _rank(value: object) -> int:
    return len(shape_of(value) or ()) if isinstance(value, fx.Node) else 0


def upsample_sizes(bound: Bound) -> Bound | None:
    """``aten.upsample_*`` may be given sizes and scales at once; ``interpolate`` takes one of them."""
    both = bound.get("size") is not None and bound.get("scale_factor") is not None
    return None if both else bound
