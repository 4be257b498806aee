"""Means and covariances of the channels that layers read, from a few batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, fx, nn

from ...errors import InputError
from ..dependencies.labels import Labelling, Read

Batches = Iterable[Tensor | tuple[Any, ...]]
Place = tuple[fx.Node, int]
"""A node and the axis of its channels."""

MOST_INPUTS = 4096
"""Largest number of channels for which covariances are computed."""
RIDGE = 1e-4
"""Ridge added to the variances, in units of their mean: enough for channels that are copies of each other."""

READERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


class Moments:
    """Sums over all dimensions except channels, ``[C]`` and ``[C, C]``."""

    def __init__(self, channels: int) -> None:
        self.count = 0
        self.total = torch.zeros(channels, dtype=torch.float64)
        self.products = torch.zeros(channels, channels, dtype=torch.float64)

    def add(self, rows: Tensor) -> None:
        self.count += len(rows)
        self.total += rows.sum(0).double()
        self.products += (rows.mT @ rows).double()

    def covariance(self) -> Tensor:
        """Covariance ``[C, C]`` with a ridge."""
        mean = self.total / self.count
        covariance = self.products / self.count - torch.outer(mean, mean)
        ridge = RIDGE * covariance.diagonal().mean().clamp(min=1e-12)
        return covariance + ridge * torch.eye(len(mean), dtype=torch.float64)

    def regression(self, kept: Tensor, removed: Tensor) -> tuple[Tensor, Tensor]:
        """Coefficients of the regression of removed channels on kept ones: ``A [removed, kept]``
        and ``c [removed]``.
        """
        mean, covariance = self.total / self.count, self.covariance()
        slopes = torch.linalg.solve(covariance[kept][:, kept], covariance[kept][:, removed]).mT
        return slopes, mean[removed] - slopes @ mean[kept]


class _Watcher(fx.Interpreter):
    def __init__(self, gm: fx.GraphModule, moments: dict[tuple[fx.Node, int], Moments]) -> None:
        super().__init__(gm)
        self.moments = moments
        self.axes: dict[fx.Node, list[int]] = {}
        for source, axis in moments:
            self.axes.setdefault(source, []).append(axis)

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        for axis in self.axes.get(n, ()):
            self.moments[n, axis].add(result.movedim(axis, -1).flatten(0, -2).float())
        return result


def weighted_reads(labelling: Labelling) -> Iterator[Read]:
    """Reads of convolutions and linear layers without groups; only the first call of each layer."""
    seen = set[str]()
    for read in labelling.reads:
        layer = labelling.gm.get_submodule(str(read.node.target)) if read.node.op == "call_module" else None
        if not isinstance(layer, READERS) or getattr(layer, "groups", 1) != 1 or len(read.atoms) > MOST_INPUTS:
            continue
        if str(read.node.target) not in seen:
            seen.add(str(read.node.target))
            yield read


def measure_moments(gm: fx.GraphModule, reads: Iterable[Read], batches: Batches) -> dict[Place, Moments]:
    """Run the graph and sum the moments at the place of each read; a place that several layers read is summed once."""
    moments = {(read.source, read.axis): Moments(len(read.atoms)) for read in reads}
    watcher = _Watcher(gm, moments)
    with torch.no_grad():
        for inputs in batches:
            watcher.run(*(inputs if isinstance(inputs, tuple) else (inputs,)))
    if not all(found.count for found in moments.values()):
        raise InputError("no covariance of channels", why="the data has not one batch", fix="give at least one")
    return moments
