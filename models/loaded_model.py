"""A loaded model: the module and a description of its input."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .model_input import InputShape, Preprocessing, without_dim


@dataclass(frozen=True)
class LoadedModel:
    """A module in eval mode. ``input_shape`` is one input without the batch: ``(C, H, W)``, or the tokens of a text.

    ``examples`` are inputs that the caller gave, if the model has several inputs, or needs other inputs than noise;
    ``input_names`` are the keys of its batches if these are dicts. ``batch_dims`` are the dimensions of the batch in
    the examples, if they are not all 0, and ``output_dims`` those in the outputs, as far as they are known.
    """

    name: str
    module: nn.Module
    input_shape: InputShape
    preprocessing: Preprocessing
    pretrained: bool
    vocabulary: int | None = None
    examples: tuple[Tensor, ...] = ()
    input_names: tuple[str, ...] = ()
    batch_dims: tuple[int, ...] = ()
    output_dims: tuple[int | None, ...] = ()

    @property
    def further_shapes(self) -> tuple[InputShape, ...]:
        """Shapes of the inputs after the first, without the batch."""
        pairs = zip(self.examples, self.example_dims, strict=True)
        return tuple(without_dim(tuple(example.shape), dim) for example, dim in pairs)[1:]

    @property
    def example_dims(self) -> tuple[int, ...]:
        """The dimension of the batch in each of the examples."""
        return self.batch_dims or (0,) * len(self.examples)

    def example_inputs(self, batch: int = 2, seed: int = 0) -> tuple[Tensor, ...]:
        """Return the caller's examples, repeated to the size of the batch; else noise, see :func:`example_batch`."""
        if self.examples:
            pairs = zip(self.examples, self.example_dims, strict=True)
            return tuple(x.index_select(dim, torch.arange(batch) % x.shape[dim]) for x, dim in pairs)
        return (example_batch(batch, self.input_shape, seed, self.vocabulary),)


def example_batch(batch: int, shape: InputShape, seed: int = 0, vocabulary: int | None = None) -> Tensor:
    """Noise ``[batch, *shape]``: standard normal float32, or int64 tokens below ``vocabulary`` if
    the model reads text.
    """
    generator = torch.Generator().manual_seed(seed)
    if vocabulary is not None:
        return torch.randint(vocabulary, (batch, *shape), generator=generator)
    return torch.randn(batch, *shape, generator=generator)
