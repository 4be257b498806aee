"""Finds values of a TRAINING graph that are no longer finite, to report where training broke."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import fx, nn

from .fake_quantize import ActivationQuantizer
from .trained_layer import TrainedLayer


@dataclass(frozen=True)
class Broken:
    """A layer or tensor, and its problem."""

    where: str
    why: str


def find_broken(module: nn.Module) -> list[Broken]:
    """Parameters and buffers that hold NaN or infinity, ranges first, in the order of the modules.

    Buffers that a graph reads as constants are left out: training does not change them, and masks hold infinity.
    """
    ranges, others = [], []
    nodes = module.graph.nodes if isinstance(module, fx.GraphModule) else ()
    constants = {str(node.target) for node in nodes if node.op == "get_attr"} & dict(module.named_buffers()).keys()
    for path, part in module.named_modules():
        named = [*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)]
        for name, value in named:
            is_constant = f"{path}.{name}".removeprefix(".") in constants
            if is_constant or not value.is_floating_point() or bool(torch.isfinite(value).all()):
                continue
            found = "NaN" if bool(torch.isnan(value).any()) else "infinity"
            if name == "step" and isinstance(part, (ActivationQuantizer, TrainedLayer)):
                ranges.append(Broken(path, f"its range broke: the step is {found}"))
            else:
                others.append(Broken(path, f"its {name} holds {found}"))
    return [*ranges, *others]
