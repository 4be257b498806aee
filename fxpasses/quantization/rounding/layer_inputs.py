"""Inputs of a layer as columns: one column of factors of the weights for each output value."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor


def input_columns(operator: Any, x: Tensor, weight: Tensor, settings: dict[str, Any]) -> Tensor | None:
    """Columns of a convolution's or linear layer's input; None for other layers.

    Args:
        operator: ``F.linear``, ``F.conv1d`` or ``F.conv2d``.
        x: ``[N, ..., K]`` or ``[N, C, *]``.
        settings: stride, padding, dilation and groups of the operator.

    Returns:
        ``[G, K, N * positions]``: ``G`` groups, ``K`` inputs to one output, in the order of the weight.
    """
    if operator is F.linear:
        return x.reshape(1, -1, x.shape[-1]).transpose(1, 2)
    if operator not in (F.conv1d, F.conv2d) or isinstance(settings.get("padding"), str):
        return None
    if operator is F.conv1d:
        x, weight = x.unsqueeze(2), weight.unsqueeze(2)
    stride, padding, dilation = (
        _pair(settings.get(name, default), operator is F.conv1d, rest)
        for name, default, rest in (("stride", 1, 1), ("padding", 0, 0), ("dilation", 1, 1))
    )
    unfolded = F.unfold(x, tuple(weight.shape[2:]), dilation, padding, stride)
    groups = int(settings.get("groups", 1))
    columns = unfolded.reshape(len(x), groups, -1, unfolded.shape[2])
    return columns.permute(1, 2, 0, 3).flatten(2)


def _pair(value: Any, is_1d: bool, rest: int) -> tuple[int, int]:
    if isinstance(value, int):
        return (rest, value) if is_1d else (value, value)
    return (rest, int(value[0])) if is_1d else (int(value[0]), int(value[1]))
