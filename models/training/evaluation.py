"""Top-1 accuracy: the share of inputs whose highest logit is that of the right class."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from fxpasses.errors import InputError


def evaluate_top1(run: Callable[[Tensor], Tensor], batches: Iterable[tuple[Tensor, Tensor | None]]) -> float:
    """Top-1 accuracy in percent of logits ``[B, classes]`` against labels ``[B]``.

    Raises :class:`InputError` if there is nothing to evaluate or a batch has no labels.
    """
    right = images = 0
    with torch.no_grad():
        for inputs, labels in batches:
            if labels is None:
                raise InputError("cannot measure accuracy", why="the data has no labels", fix="choose labelled data")
            right += int((run(inputs).argmax(1) == labels).sum())
            images += len(labels)
    if not images:
        raise InputError("cannot measure accuracy", why="there is not one image", fix="give at least one batch")
    return 100 * right / images
