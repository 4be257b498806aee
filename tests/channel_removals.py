"""Random removals of channels, and how far what is left of a graph is from the graph with these channels masked."""

from __future__ import annotations

import numpy as np
import torch
from tiny_graphs import outputs_of

from fxpasses.pruning import Removal, cost_of, find_dependencies, mask_channels, shrink

RELATIVE_TOLERANCE = 1e-12
"""Tolerance relative to the largest output, in float64: shorter sums round differently, by 1e-16 for each of a few
dozen terms.
"""


def random_removal(graph: torch.fx.GraphModule, share: float, seed: int = 0, **how: bool) -> Removal:
    """A random removal that leaves at least one class of every group."""
    dependencies, generator = find_dependencies(graph, **how), np.random.default_rng(seed)
    chosen = [generator.permutation(g.classes)[: int(share * len(g.classes))] for g in dependencies.groups]
    return Removal(dependencies, np.sort(np.concatenate([*chosen, np.empty(0, np.int64)])))


def relative_difference(removal: Removal, inputs: tuple[torch.Tensor, ...]) -> float:
    """Difference between the shrunk and the masked graph in float64, for new inputs and a new batch size."""
    doubles = tuple(x.double() if x.is_floating_point() else x for x in inputs)
    small = shrink(removal).double()
    assert cost_of(removal).params == sum(p.numel() for p in small.parameters())
    expected = outputs_of(mask_channels(removal).double(), doubles)
    pairs = zip(expected, outputs_of(small, doubles), strict=True)
    return max(float((a - b).abs().max() / a.abs().max().clamp(min=1e-9)) for a, b in pairs if a.is_floating_point())
