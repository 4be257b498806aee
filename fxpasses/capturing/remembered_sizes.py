"""Let a model forget the sizes of inputs that it has seen, while it is exported.

Detectors keep the shape of their last input, to make their anchors anew only when it changes. torch.export compares
that shape with the new one, and so fixes the batch as it was. A model that has forgotten it makes its anchors in the
graph.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn


def remembers_sizes(model: nn.Module) -> bool:
    """Whether any module has the shape of a tensor as an attribute."""
    return bool(_remembered(model))


@contextlib.contextmanager
def sizes_forgotten(model: nn.Module) -> Iterator[None]:
    """Let shapes that modules have as attributes be None in the block; afterwards they are what they were."""
    remembered = _remembered(model)
    try:
        for module, name, _ in remembered:
            setattr(module, name, None)
        yield
    finally:
        for module, name, shape in remembered:
            setattr(module, name, shape)


def _remembered(model: nn.Module) -> list[tuple[nn.Module, str, torch.Size]]:
    return [
        (module, name, value)
        for module in model.modules()
        for name, value in vars(module).items()
        if isinstance(value, torch.Size)
    ]
