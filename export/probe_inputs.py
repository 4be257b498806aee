"""Random inputs to test a graph, with the shapes of the example inputs and between their extreme values."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from fxpasses.graph.stages import graph_facts
from fxpasses.signature.examples import Spec, examples_of, input_tensors, with_tensors
from fxpasses.signature.free_sizes import Dims, FreeSizes, free_sizes

FEW = 2
"""Number of samples for a free batch without a tried size: enough to show mixed-up samples, and fast."""

Ends = tuple[float, float] | None


def probe_inputs(gm: fx.GraphModule, *, dynamic_batch: bool = True) -> tuple[Any, ...]:
    """Random inputs, the same at every call.

    Args:
        gm: a captured graph.
        dynamic_batch: whether free sizes differ from those at capture.
    """
    free, tensors = free_sizes(gm), input_tensors(gm)
    ranges: tuple[Ends, ...] = graph_facts(gm).example_ranges or (None,) * len(tensors)
    generator = torch.Generator().manual_seed(0)
    given = iter(zip(free.inputs, ranges, strict=True))

    def random(spec: Spec) -> Tensor:
        dims, ends = next(given)
        shape = _sizes(spec, dims, free) if dynamic_batch else spec[0]
        return _random(shape, spec[1], ends, generator)

    return with_tensors(examples_of(gm), random)


def _sizes(spec: Spec, dims: Dims, free: FreeSizes) -> tuple[int, ...]:
    return tuple(free.tried.get(dims[d], min(FEW, size)) if d in dims else size for d, size in enumerate(spec[0]))


def _random(shape: tuple[int, ...], dtype: torch.dtype, ends: Ends, generator: torch.Generator) -> Tensor:
    if not dtype.is_floating_point:
        low, high = (int(v) for v in ends or (0, 0))
        return torch.randint(low, high + 1, shape, generator=generator).to(dtype)
    if ends is None or ends[0] == ends[1]:
        return torch.randn(shape, generator=generator).to(dtype)
    return (ends[0] + (ends[1] - ends[0]) * torch.rand(shape, generator=generator)).to(dtype)
