"""Check that a card computes the integers of the exact reference, in every tensor of a net and in its result."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.export.engines.kernel import Kernel


def compared(graph: fx.GraphModule, device: str, x: Tensor) -> dict[str, object]:
    """Number of compared tensors and of differing values, and the largest difference."""
    found = _tensors(fxpasses.export.to_torch(graph, "cuda", device=device), x)
    expected = _tensors(fxpasses.export.to_torch(graph, "reference"), x)
    names = [name for name in found if name in expected]
    differing, largest = 0, 0.0
    for name in names:
        distance = (found[name].double() - expected[name].double()).abs()
        differing += int((distance > 0).sum())
        largest = max(largest, float(distance.max()))
    return {"tensors": len(names), "differing_values": differing, "largest_difference": largest}


def _tensors(net: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """The output of every kernel, by the kernel's name, and the result of the net."""
    kept: dict[str, Tensor] = {}

    def keeping(name: str) -> Any:
        return lambda module, given, result: kept.__setitem__(name, result.detach().cpu())

    lowered = getattr(net, "net", net)
    hooks = [
        child.register_forward_hook(keeping(name))
        for name, child in lowered.named_children()
        if isinstance(child, Kernel)
    ]
    with torch.inference_mode():
        kept["result"] = net(x).cpu()
    for hook in hooks:
        hook.remove()
    return kept
