"""Calibration by several processes: adds up their histograms, so that all have the ranges of one process.

Counts are integers in bins that do not depend on the order of the data, so their sums are bit for bit those of one
process that reads all data. This holds as long as no sample of a tensor has more values than are counted in full
(65536). Of larger samples every k-th run of neighbours is counted, and the choice depends on the number of samples
before.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, fx

from ...errors import GraphError
from ...graph.edit import module_of
from ...graph.stages import Stage, check_stage
from ...quantization.int8.observe import find_observers
from ...quantization.ranges.histogram import StreamingHistogram
from ...quantization.ranges.known_ranges import LargestValues, find_known
from ...quantization.ranges.observers import Observer
from ..distributed import processes


def merge_ranges(gm: fx.GraphModule) -> int:
    """Add the histograms of all processes to the observers of a calibrated OBSERVED graph, in place.

    Call it in every process once, between :func:`fxpasses.calibrate` and :func:`fxpasses.convert`. Means for bias
    correction stay those of each process: with ``bias_correction=True`` convert in one process, or give all the same
    samples.

    Returns:
        Number of observers.

    Raises:
        GraphError: the graph is not OBSERVED, or an observer keeps no histogram.
    """
    check_stage(gm, Stage.OBSERVED, "merge_ranges")
    nodes = find_observers(gm)
    for node in nodes.values():
        observer = module_of(gm, node, Observer)
        histogram = getattr(observer, "histogram", None)
        if not isinstance(histogram, StreamingHistogram):
            raise GraphError.at_node(
                node.all_input_nodes[0],
                why=f"its {type(observer).__name__} keeps no histogram that others could be added to",
                fix='QuantConfig(observer="histogram")',
                step="merge_ranges",
            )
        if processes() > 1:
            add_to(histogram, _of_others(histogram))
    if processes() > 1:
        for watcher in find_known(gm):
            _take_in_others(module_of(gm, watcher, LargestValues))
    return len(nodes)


def add_to(histogram: StreamingHistogram, others: Iterable[StreamingHistogram]) -> None:
    """Add the counts of other histograms; their order does not matter, since counts are integers."""
    for other in others:
        if other.observed:
            histogram.merge(other)


def as_tensors(histogram: StreamingHistogram) -> tuple[Tensor, Tensor]:
    """A histogram's whole numbers, int64, and its ends, float64."""
    numbers = torch.tensor([histogram.exponent, histogram.observed, histogram.samples], dtype=torch.int64)
    return torch.cat((numbers, histogram.counts)), torch.tensor([histogram.low, histogram.high], dtype=torch.float64)


def from_tensors(numbers: Tensor, ends: Tensor, limit: int | None) -> StreamingHistogram:
    """Inverse of :func:`as_tensors`."""
    found = StreamingHistogram((len(numbers) - 3) // 2, limit)
    found.exponent, found.observed, found.samples = (int(n) for n in numbers[:3])
    found.counts = numbers[3:].clone()
    found.low, found.high = ends.tolist()
    return found


def _of_others(histogram: StreamingHistogram) -> list[StreamingHistogram]:
    numbers, ends = as_tensors(histogram)
    all_numbers = [torch.empty_like(numbers) for _ in range(processes())]
    all_ends = [torch.empty_like(ends) for _ in range(processes())]
    dist.all_gather(all_numbers, numbers)
    dist.all_gather(all_ends, ends)
    of_all = [from_tensors(n, e, histogram.limit) for n, e in zip(all_numbers, all_ends, strict=True)]
    return [other for rank, other in enumerate(of_all) if rank != dist.get_rank()]


def _take_in_others(values: LargestValues) -> None:
    """Extend the largest values of a tensor by those of the other processes; one without data adds nothing."""
    own = torch.tensor(values.ends.read())
    of_all = [torch.empty_like(own) for _ in range(processes())]
    dist.all_gather(of_all, own)
    for ends in of_all:
        if bool(ends[0] <= ends[1]):
            values.ends.add(ends)
