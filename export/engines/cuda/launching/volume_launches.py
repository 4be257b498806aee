"""Launches of the kernel for convolutions over volumes and for transposed ones."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..kernels import volume_kernels
from .launches import NO_CONTRACTION, LayerConstants
from .phases import Volumes
from .tiles import Tile, products, usual_product
from .tuning import Choice, Launch

MOST_PROGRAMS = 2**16 - 1
"""Largest number of programs along the second dimension of a launch, which counts phases times groups."""


@dataclass(frozen=True)
class PhasedWeights:
    """Weights of all phases, one after the other, and the table of phases that the kernel reads.

    Attributes:
        weight: int8, ``[C_out, taps, C_in / groups]`` for each phase.
        bias: int32 ``[phases * C_out]``, zero points accounted for.
        table: int32 ``[phases, 10]``.
    """

    weight: Tensor
    bias: Tensor
    table: Tensor


def phased_weights(weight: Tensor, bias: Tensor, zero: int, volumes: Volumes) -> PhasedWeights:
    """Weights in phases.

    Args:
        weight: int8 ``[C_out, C_in / groups, kD, kH, kW]``, also for transposed convolutions.
        bias: int64 ``[C_out]``.
        zero: the input's zero point, as bytes are multiplied.
        volumes: the convolution.
    """
    parts, biases, rows, first = [], [], [], 0
    for axes in volumes.phases:
        part = weight
        for dim, axis in enumerate(axes, 2):
            part = part.index_select(dim, torch.tensor(axis.taps, dtype=torch.int64, device=weight.device))
        rows.append([first, *part.shape[2:], *(axis.first for axis in axes), *(axis.position for axis in axes)])
        biases.append(bias - zero * part.flatten(1).sum(1, dtype=torch.int64))
        parts.append(part.permute(0, 2, 3, 4, 1).flatten())
        first += part.numel()
    table = torch.tensor(rows, dtype=torch.int32, device=weight.device)
    return PhasedWeights(torch.cat(parts), torch.cat(biases).to(torch.int32), table)


def launch_volumes(
    layer: LayerConstants, table: Tensor, volumes: Volumes, x: Tensor, y: Tensor, residual: Tensor | None
) -> None:
    """Launch ``conv_volume`` for a batch; all tensors are int8 ``[N, C, D, H, W]``, channels last in memory."""
    sizes, out = x.shape[2:], y.shape[2:]
    of_phase = [-(-size // up) for size, up in zip(out, volumes.spread, strict=True)]
    m, n = len(x) * math.prod(of_phase), layer.outputs // layer.groups

    def start(tile: Tile, launch: Launch) -> None:
        grid = (-(-m // tile.bm) * -(-n // tile.bn), len(table) * layer.groups)
        launch(volume_kernels.conv_volume, grid)(
            x, layer.weight, y, y if residual is None else residual, layer.bias, layer.multiplier, layer.ratios,
            layer.limits, table, m, n, layer.channels, layer.groups, *sizes, *of_phase, *out, *volumes.steps,
            *volumes.spacing, *volumes.spread, layer.channels * layer.groups, layer.outputs, layer.padding,
            UNSIGNED=layer.unsigned, UNSIGNED_R=layer.unsigned_residual, RESIDUAL=residual is not None,
            EVEN=layer.channels % tile.bk == 0, BM=tile.bm, BN=tile.bn, BK=tile.bk, num_warps=tile.warps,
            num_stages=tile.stages, **NO_CONTRACTION,
        )  # fmt: skip

    kernel = [axis.size for axis in volumes.axes]
    shape = (m, n, layer.channels, layer.groups, len(table), *kernel, *volumes.steps, residual is not None)
    Choice("volumes", shape, products(layer.channels), usual_product(m, n, layer.channels)).launch(start)
