"""Binary and ternary linear layers with weights of 2 bits, multiplied as by onnxruntime's MatMulNBits.

Layers of a deployed graph with weights ``s * {-1, 0, +1}`` for each output are stored as ``q - 2`` with q in {1, 2, 3},
four to a byte, the first in the lowest bits, and one scale for each block of 32. Activations stay float in PyTorch;
onnxruntime rounds them to int8 by blocks (``accuracy_level`` 4), because its 2-bit kernel for float activations is much
slower. Weights are exact. The 2-bit kernel is not faster than that of 4 bits, but needs half the memory. Convolutions
have no such kernel and stay float.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from ..precision.linear_layers import LowerLinear, conv_reasons, lower_linear, other_reasons
from ..precision.weight_only import COMPUTE, WeightOnlyLinear
from ..quantization.numbers.levels import level_scales

BITS, BLOCK = 2, 32
_MIDDLE = 2


def to_two_bits(gm: fx.GraphModule) -> fx.GraphModule:
    """Lower the binary and ternary linear layers of a fused, deployed graph; the other operators stay float.

    Returns:
        A LOWERED graph; its pass log says for every layer whether it has 2-bit weights, and if not, why.

    Raises:
        InputError: no linear layer has weights of two or three levels.
        GraphError: the graph is not FLOAT.
    """
    reasons = other_reasons() | conv_reasons("a convolution: MatMulNBits multiplies by packed matrices only")
    return lower_linear(gm, _LowerLevels(TwoBitLinear, "2-bit weights", reasons), "two bits", "int2")


class _LowerLevels(LowerLinear):
    def why_not(self, gm: fx.GraphModule, node: fx.Node, operator: str) -> str | None:
        """Reason why a node is not lowered; for a linear layer, also that its weights have more than three levels."""
        why = super().why_not(gm, node, operator)
        if why is not None:
            return why
        weight = gm.get_submodule(str(node.target)).weight
        assert isinstance(weight, Tensor)
        return None if level_scales(weight, 0) is not None else "its weights have more than three levels"


class TwoBitLinear(WeightOnlyLinear):
    """A linear layer with packed 2-bit weights; it has the buffers of its base class, ``weight`` ``[N, blocks, 8]``."""

    def __init__(self, layer: nn.Linear) -> None:
        nn.Module.__init__(self)
        self.bits, self.accuracy_level, self.inputs = BITS, COMPUTE["int8"], layer.in_features
        weight = layer.weight.detach().float()
        self.weights = weight.numel()
        scales = level_scales(weight, 0)
        assert scales is not None
        blocks = F.pad(weight.sign(), (0, -self.inputs % BLOCK)).unflatten(1, (-1, BLOCK))
        self.register_buffer("weight", two_bits(blocks))
        self.register_buffer("scale", scales.unsqueeze(1).expand(-1, blocks.shape[1]).contiguous())
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach().float().clone())


def two_bits(levels: Tensor) -> Tensor:
    """Pack -1, 0 and +1, ``[N, blocks, 32]``, in the format of MatMulNBits: uint8 ``[N, blocks, 8]``."""
    digits = (levels.to(torch.int16) + _MIDDLE).unflatten(2, (-1, 4))
    weights = torch.tensor([1, 4, 16, 64], dtype=torch.int16)
    packed: Tensor = (digits * weights).sum(3).to(torch.uint8)
    return packed
