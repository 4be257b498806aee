"""Input for a benchmark: noise in the shapes of a graph's inputs, with the batch in the graph's batch dimension."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from fxpasses.errors import InputError
from fxpasses.signature.examples import Spec, examples_of, input_tensors, with_tensors
from fxpasses.signature.free_sizes import BATCH
from fxpasses.signature.samples import batch_dims


@dataclass(frozen=True)
class Values:
    """Range of an input's values: tokens below ``vocabulary``, values from ``low`` to ``high``, or else noise."""

    vocabulary: int | None = None
    low: float | None = None
    high: float | None = None

    def noise(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """A tensor of random values in this range, from a fixed seed."""
        generator, size = torch.Generator().manual_seed(0), tuple(shape)
        if dtype.is_floating_point and self.low is None:
            return torch.randn(size, generator=generator).to(dtype)
        if dtype.is_floating_point:
            assert self.low is not None and self.high is not None
            return (torch.rand(size, generator=generator) * (self.high - self.low) + self.low).to(dtype)
        low, high = int(self.low or 0), int(self.high or 0) if self.vocabulary is None else self.vocabulary - 1
        return torch.randint(low, high + 1, size, generator=generator).to(dtype)


def values_of(details: Mapping[str, Any], count: int) -> list[Values]:
    """The range of values of each of ``count`` tensors, from the ``model_details`` of report.json."""
    known = [Values(low=each["low"], high=each["high"]) for each in details.get("inputs") or ()]
    return known if len(known) == count else [Values(vocabulary=details["vocabulary"])] * count


def input_maker(details: Mapping[str, Any], gm: fx.GraphModule) -> Callable[[int], tuple[Any, ...]]:
    """The inputs of a graph by batch size, nested as the model takes them.

    Args:
        details: report.json's ``model_details``.
        gm: the graph, which stores the shapes of its inputs and the batch dimension of each.
    """
    tensors, dims = input_tensors(gm), batch_dims(gm)
    values = values_of(details, len(tensors))

    def make(batch: int) -> tuple[Any, ...]:
        _require_taken(gm, batch)
        made = iter(_sized(spec.spec, dim, batch, held) for spec, dim, held in zip(tensors, dims, values, strict=True))
        return with_tensors(examples_of(gm), lambda _: next(made))

    return make


def _sized(spec: Spec, dim: int | None, batch: int, values: Values) -> Tensor:
    shape, dtype = spec
    return values.noise([batch if d == dim else size for d, size in enumerate(shape)], dtype)


def _require_taken(gm: fx.GraphModule, batch: int) -> None:
    """Raise InputError for a batch size that the graph does not take."""
    if any(dim is not None for dim in batch_dims(gm)):
        return
    own = next(_leading(gm), 1)
    if batch != own:
        raise InputError(
            f"batch size {batch}",
            why=f"no dimension of the model's inputs is free: it takes a {BATCH} of {own} alone",
            fix=f"ask for --batch {own}, or capture with dynamic=... and quantize again",
        )


def _leading(gm: fx.GraphModule) -> Iterator[int]:
    return (tensor.spec[0][0] for tensor in input_tensors(gm) if tensor.spec[0])
