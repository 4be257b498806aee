"""Quantization noise of each integer tensor of a QUANTIZED graph, and the histogram of its integers.

A tensor is compared with the tensor of the same name in the float graph. Equalization scales channels, and the next
layers undo that: so each channel is compared up to the factor that fits best. The remaining difference is noise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx

from fxpasses.graph.meta_keys import HISTOGRAM, SQNR
from fxpasses.quantization.int8.int8_calls import qparams_of
from fxpasses.quantization.int8.names import tensor_of
from fxpasses.quantization.numbers import ops
from fxpasses.sqnr import sqnr_db

LEAST_VALUES = 16
"""Least number of values in a channel: with fewer, the factor that fits best hides too much of the noise."""
BINS = 32
"""Number of bins in the histogram of a tensor's integers; each bin holds a whole number of steps."""


@dataclass
class _Twins:
    """Sums over a tensor and its float twin, by channel."""

    float_squares: Tensor = field(default_factory=lambda: torch.zeros(1, dtype=torch.float64))
    products: Tensor = field(default_factory=lambda: torch.zeros(1, dtype=torch.float64))
    squares: Tensor = field(default_factory=lambda: torch.zeros(1, dtype=torch.float64))
    counts: Tensor = field(default_factory=lambda: torch.zeros(BINS, dtype=torch.int64))
    values: int = 0
    """Number of values in each channel."""

    def add(self, x: Tensor, y: Tensor) -> None:
        """Add float values and the dequantized values of int8, both ``[B, C, ...]``."""
        a, b = (_by_channel(t) for t in (x, y))
        self.values += a.shape[1]
        self.float_squares = self.float_squares + a.square().sum(1)
        self.products = self.products + (a * b).sum(1)
        self.squares = self.squares + b.square().sum(1)

    @property
    def sqnr_db(self) -> float | None:
        """Ratio of the part that the best factors explain to the rest, over all channels, in decibel."""
        explained = torch.where(self.float_squares > 0, self.products**2 / self.float_squares, torch.zeros(()).double())
        return sqnr_db(float(explained.sum()), float((self.squares - explained).clamp_(min=0).sum()))


def _by_channel(x: Tensor) -> Tensor:
    """``[C, values]`` of ``[B, C, ...]``; one row for a tensor of a single dimension."""
    values = x.detach().double()
    return values.reshape(1, -1) if values.dim() < 2 else values.transpose(0, 1).reshape(values.shape[1], -1)


class _Keeper(fx.Interpreter):
    """Runs a graph and keeps the results of some nodes."""

    def __init__(self, gm: fx.GraphModule, wanted: set[str]) -> None:
        super().__init__(gm)
        self.wanted, self.found = wanted, dict[str, Tensor]()

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if n.name in self.wanted and isinstance(result, Tensor):
            self.found[n.name] = result
        return result


@torch.no_grad()
def note_tensor_errors(float_graph: fx.GraphModule, int8: fx.GraphModule, batches: Iterable[Any]) -> None:
    """Write SQNR and histogram on each ``quantize`` node of ``int8`` whose tensor the float graph has, too.

    Args:
        float_graph: the fused FLOAT graph that ``int8`` was made from.
        batches: inputs of both; a few are enough.
    """
    nodes = {n.name: n for n in int8.graph.nodes if n.target is ops.quantize}
    known = {n.name for n in float_graph.graph.nodes}
    twins = {name: _Twins() for name in nodes if tensor_of(name) in known}
    for batch in batches:
        inputs = batch if isinstance(batch, tuple) else (batch,)
        ours, theirs = _Keeper(int8, set(twins)), _Keeper(float_graph, {tensor_of(name) for name in twins})
        ours.run(*inputs)
        theirs.run(*inputs)
        _add(twins, nodes, ours.found, theirs.found)
    for name, found in twins.items():
        if int(found.counts.sum()):
            nodes[name].meta[HISTOGRAM] = found.counts.tolist()
        if found.sqnr_db is not None and found.values >= LEAST_VALUES:
            nodes[name].meta[SQNR] = found.sqnr_db


def _add(
    twins: Mapping[str, _Twins],
    nodes: Mapping[str, fx.Node],
    integers: Mapping[str, Tensor],
    floats: Mapping[str, Tensor],
) -> None:
    for name, sums in twins.items():
        q, x = integers.get(name), floats.get(tensor_of(name))
        if q is None or x is None or not x.is_floating_point():
            continue
        grid = qparams_of(nodes[name])
        places = (q.long() - grid.grid.low) * BINS // (grid.grid.levels + 1)
        sums.counts += torch.bincount(places.reshape(-1), minlength=BINS)
        if x.shape == q.shape:  # the pixels' grid has channels that the float graph lacks
            sums.add(x, (q.double() - grid.zero_point) * grid.scale)
