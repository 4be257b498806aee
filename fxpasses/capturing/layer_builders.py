"""Build layers for functional calls from existing tensors; nothing is allocated or initialised.

Each builder takes the call's settings by name: ``input`` is its shape; ``weight``, ``bias`` and running statistics are
tensors; settings that the call does not give are missing. A builder returns None if no layer computes the call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..graph.operator_table import VOCABULARY

Settings = dict[str, Any]

_CONVS: dict[str, Any] = {
    "conv1d": nn.Conv1d,
    "conv2d": nn.Conv2d,
    "conv3d": nn.Conv3d,
    "conv_transpose1d": nn.ConvTranspose1d,
    "conv_transpose2d": nn.ConvTranspose2d,
    "conv_transpose3d": nn.ConvTranspose3d,
}
_BATCH_NORMS: dict[int, Any] = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}
_META = torch.device("meta")


def build_layer(name: str, settings: Settings) -> nn.Module | None:
    """A layer for this operator in eval mode, which shares the tensors in ``settings``; None if there is none."""
    layer = _convolution(name, settings) if name in _CONVS else _OTHERS[name](settings)
    return None if layer is None else layer.eval()


def can_build(name: str) -> bool:
    """Whether this file can build a layer for an operator."""
    return name in _CONVS or name in _OTHERS


def _with_tensors(layer: nn.Module, settings: Settings) -> nn.Module:
    """Give a layer the call's own tensors instead of its empty ones."""
    for name in layer._parameters:
        layer.register_parameter(name, settings.get(name))
    for name in layer._buffers:
        buffer = settings.get(name)
        count = torch.zeros((), dtype=torch.long)  # num_batches_tracked, which no call is given
        layer.register_buffer(name, buffer.detach() if isinstance(buffer, Tensor) else count)
    return layer


def _convolution(name: str, settings: Settings) -> nn.Module | None:
    weight, dims = settings["weight"], int(name[-2])
    transposed = VOCABULARY[name].weight_axis == 1
    if weight.dim() != dims + 2:
        return None
    groups = settings.get("groups", 1)
    own, grouped = weight.shape[0], weight.shape[1] * groups
    channels = (own, grouped) if transposed else (grouped, own)
    numbers = {
        key: value if isinstance(value, str) else _numbers(value, dims)
        for key, value in settings.items()
        if key in ("stride", "padding", "dilation") or (transposed and key == "output_padding")
    }
    layer = _CONVS[name](*channels, tuple(weight.shape[2:]), groups=groups, device=_META, **numbers)
    return _with_tensors(layer, settings)


def _numbers(value: Any, dims: int) -> tuple[int, ...]:
    """A tuple with one number for each dimension, from one number for all or from one for each."""
    given = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    return given * dims if len(given) == 1 else given


def _linear(settings: Settings) -> nn.Module | None:
    weight, bias = settings["weight"], settings.get("bias")
    if weight.dim() != 2 or (bias is not None and bias.shape != weight.shape[:1]):
        return None
    return _with_tensors(nn.Linear(weight.shape[1], weight.shape[0], device=_META), settings)


def _batch_norm(settings: Settings) -> nn.Module | None:
    mean, rank = settings.get("running_mean"), len(settings["input"] or ())
    if settings.get("training", False) is not False or mean is None or settings.get("running_var") is None:
        return None
    if rank not in _BATCH_NORMS:
        return None
    chosen = {key: settings[key] for key in ("eps", "momentum") if key in settings}
    layer = _BATCH_NORMS[rank](mean.shape[0], affine=_is_affine(settings), device=_META, **chosen)
    return _with_tensors(layer, settings)


def _layer_norm(settings: Settings) -> nn.Module:
    shape, eps = tuple(settings["normalized_shape"]), settings.get("eps", 1e-5)
    return _with_tensors(nn.LayerNorm(shape, eps, elementwise_affine=_is_affine(settings), device=_META), settings)


def _group_norm(settings: Settings) -> nn.Module | None:
    shape, eps = settings["input"], settings.get("eps", 1e-5)
    if not shape or len(shape) < 2:
        return None
    layer = nn.GroupNorm(settings["num_groups"], shape[1], eps, affine=_is_affine(settings), device=_META)
    return _with_tensors(layer, settings)


def _is_affine(settings: Settings) -> bool:
    return settings.get("weight") is not None or settings.get("bias") is not None


def _embedding(settings: Settings) -> nn.Module | None:
    """Build an embedding; None with ``max_norm``, which rescales the weights at every call."""
    if settings.get("max_norm") is not None:
        return None
    rows, width = settings["weight"].shape
    return _with_tensors(nn.Embedding(rows, width, device=_META), settings)


def _prelu(settings: Settings) -> nn.Module:
    return _with_tensors(nn.PReLU(settings["weight"].numel(), device=_META), settings)


_OTHERS: dict[str, Callable[[Settings], nn.Module | None]] = {
    "linear": _linear,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "group_norm": _group_norm,
    "embedding": _embedding,
    "prelu": _prelu,
}
