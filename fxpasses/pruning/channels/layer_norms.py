"""LayerNorm over fewer channels.

LayerNorm divides by statistics over all channels, so removing some changes the result for the others: no LayerNorm over
the channels left computes the same as the old one with zeros in their place. With ``through_layer_norm`` the masked
graph is therefore *defined* to take its statistics over the channels that are kept, as the shrunk graph does. Then both
graphs compute the same function again, but training, or new statistics of the next layers, must adapt to it.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, fx, nn

from ...graph.edit import add_module
from .channel_plan import Removal


class MaskedLayerNorm(nn.Module):
    """LayerNorm over the last dimension ``[..., C]``; its mean and variance are taken over the
    channels that are kept.
    """

    kept: Tensor

    def __init__(self, norm: nn.LayerNorm, kept: Tensor) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps
        self.register_buffer("kept", kept)

    def forward(self, x: Tensor) -> Tensor:
        count = self.kept.sum()
        mean = (x * self.kept).sum(-1, keepdim=True) / count
        centred = (x - mean) * self.kept
        y: Tensor = centred * torch.rsqrt(centred.square().sum(-1, keepdim=True) / count + self.eps)
        y = y if self.weight is None else y * self.weight
        return y if self.bias is None else y + self.bias


def mask_layer_norms(removal: Removal, masked: fx.GraphModule, nodes: Mapping[fx.Node, fx.Node]) -> None:
    """Replace every LayerNorm of the copy that loses channels by one with statistics over the channels kept."""
    for node, twin in nodes.items():
        layer = masked.get_submodule(str(twin.target)) if twin.op == "call_module" else None
        if not isinstance(layer, nn.LayerNorm):
            continue
        dim = removal.dependencies.labelling.of[node][-1]
        if dim is None or bool(removal.keeps(dim).all()):
            continue
        dtype = next((p.dtype for p in layer.parameters()), torch.get_default_dtype())
        kept = torch.from_numpy(removal.keeps(dim)).to(dtype)
        twin.target = add_module(masked, f"{node.name}_kept", MaskedLayerNorm(layer, kept))
