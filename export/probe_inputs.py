"""Inputs to try a graph on: random, shaped like the example inputs, and between their least and largest value."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from fxpasses.stages import graph_facts

FEW = 2
"""Samples where the batch is free: enough to see one batch taken for another, and quick."""


def probe_inputs(gm: fx.GraphModule, *, dynamic_batch: bool = True) -> tuple[Any, ...]:
    """The same inputs at every call.

    Args:
        gm: a captured graph.
        dynamic_batch: whether fewer samples than at capture will do.
    """
    facts = graph_facts(gm)
    examples = facts["example_inputs"]
    ranges: tuple[tuple[float, float] | None, ...] = facts.get("example_ranges") or (None,) * len(examples)
    batches = {e[0][0] for e in examples if _is_shape(e) and e[0]}
    few = min(FEW, *batches) if dynamic_batch and len(batches) == 1 else None
    generator = torch.Generator().manual_seed(0)
    return tuple(_probe(e, r, few, generator) for e, r in zip(examples, ranges, strict=True))


def _is_shape(example: object) -> bool:
    return isinstance(example, tuple) and len(example) == 2 and isinstance(example[1], torch.dtype)


def _probe(example: Any, ends: tuple[float, float] | None, few: int | None, generator: torch.Generator) -> Any:
    if not _is_shape(example):
        return example
    shape, dtype = example
    size = (few, *shape[1:]) if few is not None and shape else shape
    if not dtype.is_floating_point:
        low, high = (int(v) for v in ends or (0, 0))
        return torch.randint(low, high + 1, size, generator=generator).to(dtype)
    if ends is None or ends[0] == ends[1]:
        return torch.randn(size, generator=generator).to(dtype)
    return (ends[0] + (ends[1] - ends[0]) * torch.rand(size, generator=generator)).to(dtype)
