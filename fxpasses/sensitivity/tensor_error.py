"""Compares float with int8 at one tensor: error, range, and both distributions.

Each histogram bin covers a whole number of the grid's steps. Otherwise the int8 histogram would show a comb pattern
that is not in the data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from fxpasses.quantization.numbers.qparams import QParams
from fxpasses.sqnr import sqnr_db

STEPS_PER_BIN = 4
MOST_BINS_OUTSIDE = 32
"""Largest number of bins on either side of the grid; values beyond them are counted in the last bin."""


@dataclass
class TensorError:
    """Accumulates the error between float values ``x`` and integers ``q``.

    Attributes:
        grid: grid of the integers.
        low, high: least and greatest float value expected; they set the range of the histogram.
    """

    grid: QParams
    low: float
    high: float
    values: int = 0
    clipped: int = 0
    signal: float = 0.0
    noise: float = 0.0
    max_error: float = 0.0
    float_counts: Tensor = field(default_factory=lambda: torch.zeros(0))
    int8_counts: Tensor = field(default_factory=lambda: torch.zeros(0))

    def __post_init__(self) -> None:
        self.edges = bin_edges(self.grid, self.low, self.high)
        self.float_counts = torch.zeros(len(self.edges) - 1, dtype=torch.int64)
        self.int8_counts = torch.zeros_like(self.float_counts)

    def add(self, x: Tensor, q: Tensor) -> None:
        """Add float values and the integers in their place, of the same shape."""
        grid = self.grid
        values = x.detach().float().reshape(-1)
        found = (q.reshape(-1).float() - grid.zero_point) * grid.scale
        error = (values - found).double()
        low, high = grid.range
        self.values += values.numel()
        self.clipped += int(((values < low - grid.scale / 2) | (values > high + grid.scale / 2)).sum())
        self.signal += float(values.double().square().sum())
        self.noise += float(error.square().sum())
        self.max_error = max(self.max_error, float(error.abs().max()) if len(error) else 0.0)
        self.float_counts += self._counts(values)
        self.int8_counts += self._counts(found)

    @property
    def sqnr_db(self) -> float | None:
        return sqnr_db(self.signal, self.noise)

    @property
    def clipped_percent(self) -> float:
        return 100.0 * self.clipped / self.values if self.values else 0.0

    def to_json(self) -> dict[str, Any]:
        """Error figures; the histogram is in :meth:`histogram`."""
        return {"sqnr_db": self.sqnr_db, "max_error": self.max_error, "clipped_percent": self.clipped_percent}

    def histogram(self) -> dict[str, Any]:
        """``edges`` [B + 1], and the ``float`` and ``int8`` values in each bin."""
        return {
            "edges": [float(f"{edge:.6g}") for edge in self.edges.tolist()],
            "float": self.float_counts.tolist(),
            "int8": self.int8_counts.tolist(),
        }

    def _counts(self, values: Tensor) -> Tensor:
        width = float(self.edges[1] - self.edges[0])
        bins = torch.floor((values - float(self.edges[0])) / width).clamp_(0, len(self.float_counts) - 1)
        return torch.bincount(bins.to(torch.int64), minlength=len(self.float_counts))


def bin_edges(grid: QParams, low: float, high: float) -> Tensor:
    """Edges ``[B + 1]``, ascending: the grid in bins of ``STEPS_PER_BIN`` integers, and outside it as far as needed."""
    width = grid.scale * STEPS_PER_BIN
    first = (grid.grid.low - grid.zero_point - 0.5) * grid.scale
    inside = math.ceil((grid.grid.high - grid.grid.low + 1) / STEPS_PER_BIN)
    below = min(max(math.ceil((first - low) / width), 0), MOST_BINS_OUTSIDE)
    above = min(max(math.ceil((high - first) / width) - inside, 0), MOST_BINS_OUTSIDE)
    return first + width * torch.arange(-below, inside + above + 1, dtype=torch.float64)
