"""The batch of a model, which need not be dimension 0, as in ``[T, B, C]``: found by running the model.

A graph alone does not always show it: ``torch.export`` makes constants of the sizes that it is not asked to leave free.
"""

from __future__ import annotations

import warnings
from typing import Any

from torch import nn

from .examples import named_tensors, specs_of
from .free_sizes import Dims, FreeSizes, learn_batch
from .model_call import argument_names, called


class _Called(nn.Module):
    """A model called with its inputs in order."""

    def __init__(self, model: nn.Module, keywords: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.keywords = model, keywords

    def forward(self, *inputs: Any) -> Any:
        return called(self.model, inputs, self.keywords)


def learned_dims(
    model: nn.Module, inputs: tuple[Any, ...], keywords: tuple[str, ...], expected: Any
) -> tuple[Dims, ...]:
    """The free dimensions of each input tensor of the model; none where its samples cannot be told apart."""
    found = learn_batch(_Called(model, keywords), inputs, expected)
    return found.inputs if found.separate else tuple({} for _ in found.inputs)


def warn_of_fixed(
    model: nn.Module,
    inputs: tuple[Any, ...],
    keywords: tuple[str, ...],
    dims: tuple[Dims, ...],
    sizes: FreeSizes,
) -> None:
    """Warn, once, of dimensions that the model has as batches and its graph has not."""
    tensors = named_tensors(argument_names(model.forward, inputs, keywords), specs_of(inputs))
    fixed = {
        tensor.name: {d: name for d, name in each.items() if d not in known}
        for tensor, each, known in zip(tensors, dims, sizes.inputs, strict=True)
        if set(each) - set(known)
    }
    if fixed:
        warnings.warn(
            f"captured for the example's batch of {', '.join(fixed)} only, though the model takes others: "
            f"dynamic={fixed} makes an error of it that says where it is fixed",
            stacklevel=6,
        )
