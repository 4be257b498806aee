"""Weight-only quantization: linear layers store weights of 8 or 4 bits, LSTMs and GRUs of 8, and multiply floats.

Symmetric, ``w = s * q``. By default one scale per output channel with 8 bits, and one per group of input channels with
4 bits: 16 levels can represent a group of 32 to 128 weights without loss of accuracy. Four bits have one level more
below zero than above; the sign of the scale is chosen so that the largest weight of a group is on that side, and its
size by least squared error. Lossy.

The integers are packed in the format of onnxruntime's MatMulNBits, so both runtimes use the same bytes.

Reference: Dettmers and Zettlemoyer 2023, "The case for 4-bit precision", arXiv:2212.09720 (groups).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from ..errors import InputError
from ..quantization.numbers.linear_mapping import integer_type, levels_of
from ..quantization.numbers.qparams import INT8_SYMMETRIC
from ..quantization.ranges.range_search import weight_scales
from . import ops
from .linear_layers import LowerLinear, Replacement, conv_reasons, lower_linear, other_reasons
from .recurrent_layers import why_not_rebuilt
from .stored_recurrent import FOUR_BITS, WeightOnlyRecurrent

BITS = (8, 4)
GROUP_SIZES = (32, 64, 128)
COMPUTE = {"float": 0, "int8": 4}
"""The ``accuracy_level`` of MatMulNBits for each type in which it multiplies."""

_INT4 = integer_type("int4")
_NARROWEST, _WIDEST = 32, 128


@dataclass(frozen=True)
class WeightOnlyConfig:
    """Settings of weight-only quantization.

    Attributes:
        bits: 8 or 4.
        group_size: number of weights that share a scale: 32, 64 or 128 along the input channels; None for the default,
            which is the whole output channel with 8 bits and 32 with 4.
        compute: type in which onnxruntime multiplies: ``"int8"`` rounds activations to int8 in blocks, each row with
            its own scale, and is faster; ``"float"`` does not round them. torch always multiplies floats.
    """

    bits: int = 8
    group_size: int | None = None
    compute: str = "int8"

    def __post_init__(self) -> None:
        if self.bits not in BITS:
            raise InputError(f"`bits={self.bits}`", why="weights of 8 or 4 bits are supported", fix="use 8 or 4")
        if self.group_size is not None and self.group_size not in GROUP_SIZES:
            raise InputError(
                f"`group_size={self.group_size}`",
                why="onnxruntime's kernels take blocks of these sizes",
                fix=f"use {', '.join(map(str, GROUP_SIZES))}",
            )
        if self.compute not in COMPUTE:
            raise InputError(f'`compute="{self.compute}"`', why="there is no such choice", fix="use int8 or float")

    @property
    def per_channel(self) -> bool:
        return self.bits == 8 and self.group_size is None

    def block_size(self, inputs: int) -> int:
        """Weights in a stored block: the group, or for whole channels the size with which onnxruntime is fastest."""
        if not self.per_channel:
            return self.group_size or _NARROWEST
        fitting = 1 << max(inputs - 1, 1).bit_length()
        return min(max(fitting, _NARROWEST), _WIDEST)


def to_weight_only(
    gm: fx.GraphModule, config: WeightOnlyConfig | None = None, keep_float: Sequence[str] = ()
) -> fx.GraphModule:
    """Lower linear layers, LSTMs and GRUs of a fused FLOAT graph to integer weights; the rest stays float.

    Returns:
        A LOWERED graph; its pass log says for every layer whether it has integer weights, or the reason why not.

    Raises:
        InputError: there is no such layer, or a weight is not finite.
        GraphError: the graph is not FLOAT.
    """
    config = config or WeightOnlyConfig()
    reasons = other_reasons() | conv_reasons("a convolution: MatMulNBits multiplies by packed matrices only")
    recurrent = Replacement(
        WeightOnlyRecurrent, lambda graph, node: FOUR_BITS if config.bits == 4 else why_not_rebuilt(graph, node)
    )
    step = LowerLinear(
        lambda layer: WeightOnlyLinear(layer, config),
        f"int{config.bits} weights",
        reasons,
        tuple(keep_float),
        {"recurrent": recurrent},
    )
    return lower_linear(gm, step, "weight-only", f"int{config.bits}")


class WeightOnlyLinear(nn.Module):
    """A linear layer with packed integer weights.

    Buffers: ``weight`` uint8 ``[N, blocks, block * bits / 8]``, ``scale`` float32 ``[N, blocks]``, ``bias`` ``[N]``.
    """

    operator = "linear"
    weight: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, layer: nn.Linear, config: WeightOnlyConfig) -> None:
        super().__init__()
        self.bits, self.accuracy_level, self.inputs = config.bits, COMPUTE[config.compute], layer.in_features
        self.weights = layer.weight.numel()
        integers, scale = quantized_blocks(layer.weight.detach().float(), config)
        self.register_buffer("weight", packed(integers, self.bits))
        self.register_buffer("scale", scale)
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach().float().clone())

    def forward(self, x: Tensor) -> Tensor:
        y = ops.matmul_nbits(x, self.weight, self.scale, self.inputs, self.bits, self.accuracy_level)
        return y if self.bias is None else y + self.bias


def quantized_blocks(weight: Tensor, config: WeightOnlyConfig) -> tuple[Tensor, Tensor]:
    """Integers int8 ``[N, blocks, block]`` (the last block filled with zeros) and scales ``[N, blocks]`` of a weight.

    Raises:
        InputError: the weight holds NaN or infinity.
    """
    outputs, inputs = weight.shape
    block = config.block_size(inputs)
    padded = nn.functional.pad(weight, (0, -inputs % block))
    blocks = padded.reshape(outputs, -1, block)
    if config.per_channel:
        scale = weight_scales(weight, 0, INT8_SYMMETRIC).unsqueeze(1).expand(-1, blocks.shape[1]).contiguous()
        grid = INT8_SYMMETRIC
    else:
        grid = INT8_SYMMETRIC if config.bits == 8 else _INT4
        rows = blocks.reshape(-1, block)
        down = _sign_downwards(rows) if config.bits == 4 else torch.ones(len(rows))
        scale = weight_scales(rows * down.unsqueeze(1), 0, grid, search="mse" if config.bits == 4 else "minmax")
        scale = (scale * down).reshape(outputs, -1)
    return levels_of(blocks, scale.unsqueeze(2), 0, grid.low, grid.high).to(torch.int8), scale


def packed(integers: Tensor, bits: int) -> Tensor:
    """Signed integers ``[N, blocks, block]`` in the format of MatMulNBits: uint8 ``[N, blocks, block * bits / 8]``."""
    shifted: Tensor = (integers.to(torch.int16) + 2 ** (bits - 1)).to(torch.uint8)
    if bits == 8:
        return shifted
    low, high = shifted[..., ::2], shifted[..., 1::2]
    return torch.bitwise_or(low, torch.bitwise_left_shift(high, 4))


def _sign_downwards(rows: Tensor) -> Tensor:
    """Factor of each row that makes its largest value negative: -1 if that is positive, else 1."""
    largest = rows.gather(1, rows.abs().argmax(1, keepdim=True)).squeeze(1)
    return torch.where(largest > 0, -1.0, 1.0)
