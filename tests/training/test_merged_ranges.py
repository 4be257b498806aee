"""Histograms of several processes add up to that of one."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_graphs import captured, own_copy
from torch import Tensor
from training_nets import X86, calibration, float_graph

import fxpasses
from fxpasses.errors import GraphError
from fxpasses.graph.edit import module_of
from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.int8.observe import find_observers
from fxpasses.quantization.numbers.qparams import UINT8
from fxpasses.quantization.ranges.histogram import StreamingHistogram
from fxpasses.quantization.ranges.known_ranges import LargestValues
from fxpasses.quantization.ranges.observers import HistogramObserver
from fxpasses.training.runs import merged_ranges
from fxpasses.training.runs.merged_ranges import add_to, as_tensors, from_tensors, merge_ranges


@pytest.mark.parametrize("count", [1, 2, 3])
def test_ranges_are_those_of_one_process(count: int) -> None:
    graph = fxpasses.observe(fxpasses.fuse(float_graph()), X86)
    parts = [own_copy(graph) for _ in range(count)]
    data = [x * (1 + 3 * k) for k, x in enumerate(calibration())]
    fxpasses.calibrate(graph, data)
    for rank, part in enumerate(parts):
        fxpasses.calibrate(part, data[rank::count])
    for name, node in find_observers(graph).items():
        found = [module_of(part, find_observers(part)[name], HistogramObserver) for part in parts]
        sent = [from_tensors(*as_tensors(o.histogram), o.histogram.limit) for o in found]
        expected = module_of(graph, node, HistogramObserver)
        add_to(found[0].histogram, sent[1:])
        assert torch.equal(found[0].histogram.counts, expected.histogram.counts)
        assert found[0].qparams(UINT8) == expected.qparams(UINT8)


def test_a_process_that_saw_nothing() -> None:
    seen = StreamingHistogram(64)
    seen.add(torch.randn(5, 3))
    before = seen.counts.clone()
    add_to(seen, [StreamingHistogram(64)])
    assert torch.equal(seen.counts, before)


def test_alone_there_is_nothing_to_add() -> None:
    graph = fxpasses.observe(fxpasses.fuse(float_graph()), X86)
    fxpasses.calibrate(graph, calibration())
    before = fxpasses.convert(graph)
    assert merge_ranges(graph) == len(find_observers(graph)) > 3
    assert all(torch.equal(a, b) for a, b in zip(before.buffers(), fxpasses.convert(graph).buffers(), strict=True))


def test_an_observer_without_a_histogram() -> None:
    graph = fxpasses.observe(fxpasses.fuse(float_graph()), QuantConfig(target="x86", observer="minmax"))
    with pytest.raises(GraphError, match="MinMaxObserver keeps no histogram"):
        merge_ranges(graph)


def test_a_float_graph() -> None:
    with pytest.raises(GraphError, match="merge_ranges works on a OBSERVED graph"):
        merge_ranges(captured("residual_block"))


def test_largest_values_of_known_ranges_are_those_of_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    others = [torch.tensor([-0.5, 0.25]), torch.tensor([math.inf, -math.inf])]  # the last has seen nothing

    def gather(found: list[Tensor], own: Tensor) -> None:
        for place, ends in zip(found, [own, *others], strict=True):
            place.copy_(ends)

    monkeypatch.setattr(merged_ranges, "processes", lambda: 3)
    monkeypatch.setattr(torch.distributed, "all_gather", gather)
    seen, empty = LargestValues(), LargestValues()
    seen(torch.tensor([-0.125, 0.75]))
    for values in (seen, empty):
        merged_ranges._take_in_others(values)
    assert seen.range == (-0.5, 0.75) and empty.range == (-0.5, 0.25)
