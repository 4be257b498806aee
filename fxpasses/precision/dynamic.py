"""Dynamic quantization: linear and recurrent layers with int8 weights that quantize their input to uint8 at every call.

Weights are symmetric with per-channel scales. Activations follow ONNX DynamicQuantizeLinear: one scale for the whole
tensor, from its smallest and largest value. So no calibration is needed, and the rounding of a sample depends on the
rest of its batch. Sums are exact integers in both runtimes. Lossy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, fx, nn

from ..errors import InputError
from ..quantization.numbers.linear_mapping import quantize_linear
from ..quantization.numbers.qparams import IntType
from ..quantization.numbers.targets import AUTO, find_target
from ..quantization.ranges.range_search import weight_scales
from . import ops, recurrent_layers
from .linear_layers import LowerLinear, Replacement, conv_reasons, lower_linear, other_reasons
from .recurrent_layers import dynamic_recurrent

_CONV = (
    "a convolution: onnxruntime's ConvInteger takes 2 to 7 times as long as its float convolution (measured on x86 "
    "with VNNI); static quantization makes it int8"
)


def to_dynamic(gm: fx.GraphModule, target: str = AUTO, keep_float: Sequence[str] = ()) -> fx.GraphModule:
    """Lower the linear layers, LSTMs and GRUs of a fused FLOAT graph to dynamic int8; the rest stays float.

    Args:
        target: ``"x86"``, ``"x86-avx2"`` (7-bit weights), ``"arm"``, or ``"auto"`` for the machine's own.

    Returns:
        A LOWERED graph; its pass log says for every layer whether it is int8, or the reason why not.

    Raises:
        InputError: there is no such layer, the target is unknown or has no such kernels, or a weight is not finite.
        GraphError: the graph is not FLOAT.
    """
    grid = find_target(target).free_weights
    if find_target(target).symmetric_activations:
        raise InputError(
            f'`target="{target}"` of dynamic quantization',
            why="onnxruntime computes DynamicQuantizeLinear on CPUs only",
            fix="use fp16 for a GPU, or another target",
        )
    reasons = other_reasons() | conv_reasons(_CONV)
    recurrent = Replacement(lambda layer: dynamic_recurrent(layer, grid), recurrent_layers.why_float)
    step = LowerLinear(
        lambda layer: DynamicLinear(layer, grid), "int8, dynamic", reasons, tuple(keep_float), {"recurrent": recurrent}
    )
    return lower_linear(gm, step, "dynamic", "int8")


def dynamic_weights(gm: nn.Module) -> Iterator[Tensor]:
    """The int8 weights of all layers in a graph that quantize their input themselves."""
    for module in gm.modules():
        if isinstance(module, (DynamicLinear, recurrent_layers.DynamicLSTM, recurrent_layers.DynamicGRU)):
            yield from (buffer for buffer in module.buffers(recurse=False) if buffer.dtype is torch.int8)


class DynamicLinear(nn.Module):
    """A linear layer with int8 weights that quantizes its input itself.

    Buffers: ``weight`` int8 ``[K, N]``, in the layout of MatMulInteger; ``weight_sums`` int32 ``[N]``, the sums of
    columns; ``scale`` float32 ``[N]``; ``bias`` float32 ``[N]``.
    """

    operator = "linear"
    weight: Tensor
    weight_sums: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, layer: nn.Linear, grid: IntType) -> None:
        super().__init__()
        weight = layer.weight.detach().float()
        self.weights = weight.numel()
        scale = weight_scales(weight, 0, grid)
        integers = quantize_linear(weight, scale, dtype=grid, axis=0)
        self.register_buffer("weight", integers.t().contiguous())
        self.register_buffer("weight_sums", self.weight.sum(0, dtype=torch.int32))
        self.register_buffer("scale", scale)
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach().float().clone())

    def forward(self, x: Tensor) -> Tensor:
        y = ops.matmul_dynamic(x, self.weight, self.weight_sums, self.scale)
        return y if self.bias is None else y + self.bias
