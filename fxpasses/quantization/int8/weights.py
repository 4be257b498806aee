"""Integer weights and biases of one layer.

Weights are symmetric, one scale for each output channel: ``w = s_w * q``. The bias is int32 on the grid
``s_x * s_w`` with zero_point 0, as ONNX QLinearConv requires; it is added to the sum exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ..config import LARGEST_BITS, QuantConfig
from ..numbers.levels import level_scales
from ..numbers.pair_sums import pair_safe, pair_safe_scales, pairs_meet
from ..numbers.qparams import IntType, QParams
from ..numbers.tie_free import SMALLEST_PROVABLE, tie_free_multipliers
from ..numbers.weight_groups import group_multiples
from ..ranges.range_search import weight_scales
from .bias_correction import output_error

LARGEST_BIAS = 2**22
"""Bound of bias integers: a sum then stays below 2**24 and is exact in float32 unless it is saturated."""

LARGEST_INT32_BIAS = 2**30
"""Bound of bias integers with 16-bit activations: sums are computed in float, so the bias only has to fit int32."""

NEAR_SCALES = 3e-3
"""Largest relative difference of scales of two calls of a layer that share integers: 50 dB below the weights.

Freedom from ties moves scales by 0.1 %, in another direction for each call; most weights are then 0.02 steps off.
"""


@dataclass(frozen=True)
class IntegerWeights:
    """The integers of one layer at one call site.

    Attributes:
        weight: int8, shaped as the float weight.
        weight_scale: float32, one for each index of ``axis``.
        axis: the dimension of ``weight`` that has the scales.
        bias: int32 ``[C_out]``, or None.
        bias_scale: float32 ``[C_out]``, ``s_x * s_w``.
    """

    weight: Tensor
    weight_scale: Tensor
    axis: int
    bias: Tensor | None
    bias_scale: Tensor | None


def integer_weights(
    layer: nn.Module,
    axis: int,
    x: QParams,
    y: QParams | None,
    config: QuantConfig,
    means: Tensor | None = None,
    bits: int | None = None,
    first: IntegerWeights | None = None,
) -> IntegerWeights:
    """Quantize a layer's weight and bias for a given input and output scale.

    Args:
        layer: a convolution or linear layer.
        axis: output-channel dimension of its weight (1 for transposed convolutions).
        x: parameters of the input.
        y: parameters of the output; None if the output is float, which cannot tie.
        config: the settings.
        means: means of the input's channels, ``[C_in]``, for bias correction; None for no correction.
        bits: of its weight; default: ``config.weight_bits``.
        first: the integers of an earlier call of the layer, which are taken again where the scales are nearly equal.
    """
    weight = layer.weight.detach().float()  # type: ignore[operator]  # the plan admits layers only
    bias: Tensor | None = None if layer.bias is None else layer.bias.detach().double()  # type: ignore[operator]  # as above
    all_groups = int(getattr(layer, "groups", 1))
    groups, bits = all_groups if axis == 1 else 1, bits or config.weight_bits
    grid = config.weight_grid(bits)
    levels = level_scales(weight, axis)
    stepped = config.weight_group(bits, weight[0].numel()) if axis == 0 and levels is None else None
    in_pairs = levels is None and config.pairs_matter(bits) and pairs_meet(weight, axis, all_groups)
    if levels is None:
        levels = weight_scales(weight, axis, grid, search=config.weight_search, groups=stepped)
    scale = levels.double()
    if in_pairs:
        scale = pair_safe_scales(weight.double(), scale)
    if groups > 1:  # one scale would serve a channel of every group: use one for the tensor
        scale = scale.max().expand_as(scale)
    per_output = scale.repeat(groups)
    if bias is not None:
        per_output = torch.maximum(per_output, bias.abs() / (x.scale * _largest_bias(config)))
        scale = per_output if groups == 1 else per_output.max().expand_as(scale)
    if y is not None and config.avoids_ties:
        scale = _without_ties(scale, x, y, config)
    weight_scale = scale.to(torch.float32)
    by_axis = weight_scale.double().reshape([-1 if d == axis else 1 for d in range(weight.dim())])
    again = _taken_again(first, weight_scale)
    q = _rounded(weight.double() / by_axis, grid, stepped, in_pairs).to(torch.int8) if again is None else again
    integers = IntegerWeights(q, weight_scale, axis, None, None)
    if means is not None:
        off = output_error(layer, q * by_axis - weight.double(), means)
        bias = -off if bias is None else bias - off
    return integers if bias is None else _with_bias(integers, bias, x.scale, groups)


def _taken_again(first: IntegerWeights | None, scale: Tensor) -> Tensor | None:
    """The integers of an earlier call; None without one, or if its scales differ too much for them to be as good.

    Another view of the same memory, which a saved graph holds once.
    """
    if first is None or not bool(((first.weight_scale / scale - 1).abs() <= NEAR_SCALES).all()):
        return None
    return first.weight.view_as(first.weight)


def _with_bias(integers: IntegerWeights, bias: Tensor, x_scale: float, groups: int) -> IntegerWeights:
    bias_scale = torch.tensor(x_scale, dtype=torch.float32) * integers.weight_scale.repeat(groups)
    rounded = torch.round(bias / bias_scale.double()).to(torch.int32)
    return replace(integers, bias=rounded, bias_scale=bias_scale)


def _largest_bias(config: QuantConfig) -> int:
    return LARGEST_BIAS if config.activation_bits == LARGEST_BITS else LARGEST_INT32_BIAS


def _without_ties(scale: Tensor, x: QParams, y: QParams, config: QuantConfig) -> Tensor:
    wanted = x.scale * scale / y.scale
    multiplier, _ = tie_free_multipliers(wanted.clamp(min=SMALLEST_PROVABLE) if config.exact else wanted)
    return multiplier * y.scale / x.scale


def _rounded(steps: Tensor, grid: IntType, groups: tuple[int, int] | None, in_pairs: bool) -> Tensor:
    """Round weights, given in steps of their scale, to the nearest integers; ``in_pairs``, to safe ones."""
    if groups is None:
        q = steps.round().clamp_(grid.low, grid.high)
    else:
        multiples = group_multiples(steps.flatten(1), grid, *groups).reshape(steps.shape)
        q = steps.div(multiples).round_().clamp_(grid.low, grid.high).mul_(multiples)
    return pair_safe(q) if in_pairs else q
