"""The operator ``fxpasses::first_topk``: the k largest or smallest values, equal ones in the order of their indices.

``torch.topk`` gives equal values in no defined order, and int8 makes many values equal. ONNX's TopK takes the lower
index first, and so does this operator; so that what a model gathers by these indices is the same in both runtimes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_LIBRARY = torch.library.Library("fxpasses", "FRAGMENT")
_LIBRARY.define("first_topk(Tensor x, SymInt k, int dim=-1, bool largest=True) -> (Tensor, Tensor)")


def _first_topk(x: Tensor, k: int, dim: int = -1, largest: bool = True) -> tuple[Tensor, Tensor]:
    values, indices = torch.sort(x, dim=dim, descending=largest, stable=True)
    return values.narrow(dim, 0, k).contiguous(), indices.narrow(dim, 0, k).contiguous()


def _first_topk_fake(x: Tensor, k: int, dim: int = -1, largest: bool = True) -> tuple[Tensor, Tensor]:
    shape = list(x.shape)
    shape[dim] = k
    return x.new_empty(shape), x.new_empty(shape, dtype=torch.int64)


_LIBRARY.impl("first_topk", _first_topk, "CompositeExplicitAutograd")
torch.library.register_fake("fxpasses::first_topk", _first_topk_fake, lib=_LIBRARY)

first_topk: Callable[..., tuple[Tensor, Tensor]] = torch.ops.fxpasses.first_topk.default
"""Operator ``(x, k, dim=-1, largest=True) -> (values, indices int64)``, sorted, of size ``k`` in dimension ``dim``."""
