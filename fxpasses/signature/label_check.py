"""Check that labels are classes of the model: whole numbers from 0 to the number of its logits minus 1."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InputError

LABEL_KEYS = frozenset({"label", "labels"})
"""Keys of labels in dicts from tokenizers and their collators."""
LARGEST = 2.0**62
"""Largest label: far above any number of classes, and still exact as int64."""


def require_classes(labels: Tensor, classes: int, source: str) -> None:
    """Raise InputError with both numbers for a label that is not below the number of classes."""
    if not labels.numel():
        return
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise InputError(
            f"{source} has the label {low if low < 0 else high}",
            why=f"the model tells {classes} classes apart, which are 0 to {classes - 1}",
            fix="use a model of as many classes as the data has, or leave the other classes out of the data",
        )


def as_classes(labels: Tensor, count: int, what: str) -> Tensor:
    """Labels ``[count, ...]`` of any dtype as int64.

    Raises:
        InputError: the number of labels differs from the number of inputs, or they are not whole numbers.
    """
    if labels.layout != torch.strided or labels.device.type != "cpu":
        kept = labels.device if labels.layout == torch.strided else str(labels.layout).removeprefix("torch.")
        raise InputError(
            f"{what} has labels kept as {kept}", why="they are read on the CPU", fix="give labels.to_dense().cpu()"
        )
    if not labels.dim() or len(labels) != count:
        given = f"{len(labels)} labels" if labels.dim() else "labels without a dimension"
        raise InputError(f"{what} has {given} for {count} inputs", why="every input needs one", fix="give labels [B]")
    if labels.is_complex() or labels.is_quantized or not _are_whole(labels.detach()):
        raise InputError(
            f"{what} has labels that are not whole numbers",
            why=f"they are {labels.dtype}, and a class is an index",
            fix='give int64 indices of classes; for other labels, name a metric for them: `metric="mse"` or the like',
        )
    return labels.detach().to(torch.int64)


def _are_whole(labels: Tensor) -> bool:
    if not labels.is_floating_point():
        return True
    wide = labels.to(torch.float64)
    return bool(((wide == wide.floor()) & (wide.abs() <= LARGEST)).all())
