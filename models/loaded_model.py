"""A loaded model: the module and a description of its input."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .model_input import InputShape, Preprocessing


@dataclass(frozen=True)
class LoadedModel:
    """A module in eval mode. ``input_shape`` is one input without the batch: ``(C, H, W)``, or the tokens of a text.

    ``examples`` are inputs that the caller gave, if the model has several inputs, or needs other inputs than noise;
    ``input_names`` are the keys of its batches if these are dicts.
    """

    name: str
    module: nn.Module
    input_shape: InputShape
    preprocessing: Preprocessing
    pretrained: bool
    vocabulary: int | None = None
    examples: tuple[Tensor, ...] = ()
    input_names: tuple[str, ...] = ()

    @property
    def further_shapes(self) -> tuple[InputShape, ...]:
        """Shapes of the inputs after the first, without the batch."""
        return tuple(tuple(example.shape[1:]) for example in self.examples[1:])

    def example_inputs(self, batch: int = 2, seed: int = 0) -> tuple[Tensor, ...]:
        """Return the caller's examples, repeated to the size of the batch; else noise, see :func:`example_batch`."""
        if self.examples:
            return tuple(example[torch.arange(batch) % len(example)] for example in self.examples)
        return (example_batch(batch, self.input_shape, seed, self.vocabulary),)


def example_batch(batch: int, shape: InputShape, seed: int = 0, vocabulary: int | None = None) -> Tensor:
    """Noise ``[batch, *shape]``: standard normal float32, or int64 tokens below ``vocabulary`` if
    the model reads text.
    """
    generator = torch.Generator().manual_seed(seed)
    if vocabulary is not None:
        return torch.randint(vocabulary, (batch, *shape), generator=generator)
    return torch.randn(batch, *shape, generator=generator)
