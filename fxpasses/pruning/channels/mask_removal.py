"""From masks to a smaller graph: finds the channels that masks leave without any weight.

A channel is removed if every layer that makes it has all weights of it masked, for example both sides of a residual
add. Operators in between may turn its zero into another constant (BatchNorm adds its shift, a sigmoid gives 0.5); this
is removed, too, as :mod:`.shrinking` explains. Estimate BatchNorm statistics again, or fine-tune.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from ...errors import InputError
from ..dependencies.groups import Dependencies
from ..masks.layers import LAYERS, by_output
from ..masks.masks import check_masks, weight_mask
from .channel_plan import Flags, Removal


def removal_of_masks(dependencies: Dependencies, masks: Mapping[str, Tensor]) -> Removal:
    """Find the channels of a graph that masks prune completely; channels that must stay are kept even if masked.

    Raises:
        InputError: a mask does not fit the graph, or masks leave nothing of channels that belong together.
    """
    gm = dependencies.gm
    check_masks(gm, masks)
    masked = np.ones(dependencies.classes.count, bool)
    for path, roots in dependencies.made.items():
        masked[roots[_alive(dependencies, path, masks.get(path), len(roots))]] = False
    chosen = []
    for group in dependencies.groups:
        gone = group.classes[masked[group.classes]]
        if len(gone) == len(group.classes):
            raise InputError(
                f"masks of {', '.join(group.layers)}",
                why="they prune all channels that go together there",
                fix="keep one of them",
            )
        chosen.append(gone)
    return Removal(dependencies, np.sort(np.concatenate([*chosen, np.empty(0, np.int64)])))


def _alive(dependencies: Dependencies, path: str, mask: Tensor | None, channels: int) -> Flags:
    """Flag of each output channel of a layer: whether at least one weight of it is kept."""
    layer = dependencies.gm.get_submodule(path)
    if mask is None or not isinstance(layer, LAYERS):
        return np.ones(channels, bool)
    kept: Tensor = by_output(layer, weight_mask(layer, mask).to(torch.bool)).any(1)
    return kept.cpu().numpy()
