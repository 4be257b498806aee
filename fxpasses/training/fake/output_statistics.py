"""Mean and variance of layers' outputs, by channel, over some samples; BatchNorms are made from them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, fx, nn

from ...graph.edit import module_of

Statistics = tuple[Tensor, Tensor]
"""Mean and variance of each channel, float32 ``[C]``."""


class _Sums(fx.Interpreter):
    def __init__(self, gm: fx.GraphModule, layers: set[str]) -> None:
        super().__init__(gm)
        self.layers, self.counts = layers, dict.fromkeys(layers, 0)
        self.sums: dict[str, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        y = super().run_node(n)
        if n.name in self.layers:
            rows = y.detach().transpose(0, 1).flatten(1).double()
            found = torch.stack((rows.sum(1), rows.square().sum(1)))
            self.sums[n.name] = found + self.sums.get(n.name, torch.zeros_like(found))
            self.counts[n.name] += rows.shape[1]
        return y


def output_statistics(
    gm: fx.GraphModule, layers: Iterable[str], samples: Iterable[tuple[Any, ...]]
) -> dict[str, Statistics]:
    """Statistics of each layer's outputs without its bias, by the name of its node; channels are dimension 1."""
    run = _Sums(gm, set(layers))
    with torch.no_grad():
        for inputs in samples:
            run.run(*inputs)
    found = {}
    for node in gm.graph.nodes:
        if node.name in run.sums:
            total, squares = run.sums[node.name] / run.counts[node.name]
            variance = (squares - total.square()).clamp_min(0.0)
            bias = module_of(gm, node, nn.Module).state_dict().get("bias")
            mean = total if bias is None else total - bias.double()
            found[node.name] = mean.float(), variance.float()
    return found
