"""Launches of the kernels for layers: operands, a tile, and as many programs as cover the result."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..kernels import conv_kernels
from .tiles import CHANNELWISE, Tile, products, usual_channelwise, usual_product
from .tuning import Choice, Launch
from .window import Window

NO_CONTRACTION = {"enable_fp_fusion": False}
"""Launch option that rounds a product and the addition behind it separately, as the reference does."""

FEW_CHANNELS = 32
"""Number of channels below which a single tap would leave most of a slice of 32 products empty."""


@dataclass(frozen=True)
class LayerConstants:
    """Constants that a layer's kernel reads, beside the images.

    Attributes:
        weight: int8, ``[C_out, kH * kW * C_in / groups]``; depthwise ``[kH * kW, C_out]``.
        bias: int32 ``[C_out]``, zero points accounted for.
        multiplier: ``[C_out]``; its type is the type to round in.
        ratios: ratios of the steps of the result and of a residual to the steps of the sum, in the multiplier's type.
        limits: int32: bounds of the result, the zero point at the end, bounds of the sum, the residual's zero point.
        channels: number of channels in one group of the input.
        groups: number of groups.
        padding: the byte outside the image.
        unsigned, unsigned_residual: whether bytes are uint8.
    """

    weight: Tensor
    bias: Tensor
    multiplier: Tensor
    ratios: Tensor
    limits: Tensor
    channels: int
    groups: int
    padding: int
    unsigned: bool
    unsigned_residual: bool = False

    @property
    def outputs(self) -> int:
        return len(self.multiplier)


def few_channels(layer: LayerConstants, window: Window) -> int:
    """The number of channels if it is so small that a whole row of taps is read as one stretch of bytes; else 0."""
    is_few = layer.channels < FEW_CHANNELS and layer.groups == 1 and window.size[1] > 1 and window.dilation[1] == 1
    return layer.channels if is_few else 0


@dataclass(frozen=True)
class Images:
    """A batch of images, channels last, by its sizes."""

    count: int
    height: int
    width: int


def launch_product(
    layer: LayerConstants, window: Window, x: Tensor, images: Images, y: Tensor, residual: Tensor | None
) -> None:
    """Launch ``conv_gemm`` for a batch; results are float if ``y`` is float32. All tensors of bytes are int8."""
    out = window.output_size(images.height, images.width)
    m, n, few = images.count * out[0] * out[1], layer.outputs // layer.groups, few_channels(layer, window)
    stretch = few * window.size[1] if few else layer.channels

    def start(tile: Tile, launch: Launch) -> None:
        grid = (-(-m // tile.bm) * -(-n // tile.bn), layer.groups)
        launch(conv_kernels.conv_gemm, grid)(
            x, layer.weight, y, y if residual is None else residual, layer.bias, layer.multiplier, layer.ratios,
            layer.limits, m, n, layer.channels, *window.arguments(images.height, images.width, out),
            layer.channels * layer.groups, layer.outputs, layer.padding, UNSIGNED=layer.unsigned,
            UNSIGNED_R=layer.unsigned_residual, RESIDUAL=residual is not None, FLOATS=y.dtype is torch.float32,
            PADDED=window.is_padded, FEW=few, EVEN=stretch % tile.bk == 0, BM=tile.bm, BN=tile.bn, BK=tile.bk,
            num_warps=tile.warps, num_stages=tile.stages, **NO_CONTRACTION,
        )  # fmt: skip

    shape = (m, n, layer.channels, layer.groups, *window.size, *window.stride, residual is not None)
    Choice("product", shape, products(stretch), usual_product(m, n, stretch)).launch(start)


def launch_depthwise(
    layer: LayerConstants, window: Window, x: Tensor, images: Images, y: Tensor, residual: Tensor | None
) -> None:
    """Launch ``conv_depthwise`` for a batch; each output reads one channel."""
    out = window.output_size(images.height, images.width)
    m = images.count * out[0] * out[1]

    def start(tile: Tile, launch: Launch) -> None:
        grid = (-(-m // tile.bm) * -(-layer.outputs // tile.bn),)
        launch(conv_kernels.conv_depthwise, grid)(
            x, layer.weight, y, y if residual is None else residual, layer.bias, layer.multiplier, layer.ratios,
            layer.limits, m, layer.outputs, layer.groups, *window.arguments(images.height, images.width, out),
            layer.padding, UNSIGNED=layer.unsigned, UNSIGNED_R=layer.unsigned_residual, RESIDUAL=residual is not None,
            ONE=layer.outputs == layer.groups, BM=tile.bm, BN=tile.bn, num_warps=tile.warps, num_stages=tile.stages,
            **NO_CONTRACTION,
        )  # fmt: skip

    shape = (m, layer.outputs, layer.groups, *window.size, *window.stride, residual is not None)
    Choice("depthwise", shape, CHANNELWISE, usual_channelwise(m, layer.outputs)).launch(start)
