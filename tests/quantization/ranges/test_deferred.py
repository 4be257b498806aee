"""Observers on a GPU find the same ranges as on the CPU, and read no number before the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from tiny_graphs import X86, calibration_data, fused
from tiny_nets.all_nets import TINY
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import fxpasses
from fxpasses.errors import GraphError, InputError
from fxpasses.quantization.int8 import bias_correction, mixed_tensors
from fxpasses.quantization.ranges import deferred, histogram, observers
from fxpasses.quantization.ranges.activations_in_place import with_activations_in_place
from fxpasses.quantization.ranges.deferred import DeferredCounts, DeferredEnds
from fxpasses.quantization.ranges.histogram import StreamingHistogram
from fxpasses.quantization.ranges.observers import MinMaxObserver, Observer

USERS = (deferred, histogram, observers, bias_correction, mixed_tensors)


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU counts as another device."""
    for module in USERS:
        monkeypatch.setattr(module, "is_remote", lambda x: True)


class Reading(TorchDispatchMode):
    """Counts the operators that make a CPU wait for a GPU: reading a number, and sizes that depend on values."""

    WAITING = ("_local_scalar_dense", "nonzero", "bincount", "masked_select", "unique")

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's own
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(name in str(func) for name in self.WAITING):
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))


@contextmanager
def nothing_read() -> Iterator[None]:
    with Reading() as reading:
        yield
    assert reading.found == []


def batches() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    made = [torch.randn(3, 5, 7, 9, generator=generator) * 10.0**k for k in (-3, 0, 1)]
    edges = torch.tensor([0.0, -0.0, 1.0, -1.0, 0.5, -0.5, -1e-38, 1e-30, -(2.0**-12), 2.0**-12, 96.0, -96.0])
    return [*made, edges.reshape(2, 6), torch.relu(made[1]), torch.randn(2, 400, 400, generator=generator)]


@pytest.mark.parametrize("bins", [4, 64, 2048, 1 << 14])
def test_the_histogram_is_the_cpus_bit_for_bit(bins: int, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = StreamingHistogram(bins), StreamingHistogram(bins)
    for x in batches():
        here.add(x)
    monkeypatch.setattr(histogram, "is_remote", lambda x: True)
    with nothing_read():
        for x in batches():
            there.add(x)
    assert not there.counts.any()
    there.settle()
    there.settle()  # changes nothing
    assert torch.equal(there.counts, here.counts)
    assert (there.low, there.high, there.exponent) == (here.low, here.high, here.exponent)
    assert (there.observed, there.samples) == (here.observed, here.samples)


def test_what_was_counted_here_and_there_comes_together(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, mixed = StreamingHistogram(), StreamingHistogram()
    for x in batches():
        whole.add(x)
    for x in batches()[:2]:
        mixed.add(x)
    monkeypatch.setattr(histogram, "is_remote", lambda x: True)
    for x in batches()[2:]:
        mixed.add(x)
    mixed.settle()
    assert torch.equal(mixed.counts, whole.counts) and mixed.low == whole.low


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("make", [MinMaxObserver, lambda: observers.HistogramObserver()])
def test_numbers_that_are_not_finite_are_told_at_the_end(
    bad: float, make: Callable[[], Observer], remote: None
) -> None:
    observer = make()
    observer(torch.tensor([1.0, bad]))
    observer(torch.tensor([2.0]))
    with pytest.raises(InputError, match=r"calibration met (NaN|infinity)\n.*not finite has no scale"):
        observer.settle()


def test_integers_are_refused_at_once() -> None:
    with pytest.raises(InputError, match="a tensor of int32"):
        DeferredEnds().add(torch.zeros(2, dtype=torch.int32))


def test_nothing_seen() -> None:
    assert DeferredEnds().read() == (float("inf"), -float("inf"))
    assert not DeferredCounts(8, torch.device("cpu")).read(1.0).any()
    observer = MinMaxObserver()
    observer.settle()
    assert observer.observed == 0


@pytest.mark.parametrize("observer", ["minmax", "histogram", "percentile:99.9"])
def test_calibration_is_the_cpus(observer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def scales() -> list[object]:
        graph = fxpasses.observe(fused("cat"), fxpasses.QuantConfig(target="x86", observer=observer))
        fxpasses.calibrate(graph, calibration_data(TINY["cat"]))
        return [n.args[1:] for n in fxpasses.convert(graph).graph.nodes if n.op == "call_function"]

    here = [str(args) for args in scales()]
    for module in USERS:
        monkeypatch.setattr(module, "is_remote", lambda x: True)
    assert [str(args) for args in scales()] == here


class Logarithm(nn.Module):
    """A logarithm between two linear layers, whose weights are positive."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(7, 5, bias=False), nn.Linear(5, 2)
        nn.init.constant_(self.first.weight, 1.0)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(torch.log(self.first(x)))
        return out


@pytest.mark.parametrize("observer", ["minmax", "histogram", "percentile:99.9"])
def test_an_activation_that_becomes_nan_names_the_node(observer: str, remote: None) -> None:
    config = fxpasses.QuantConfig(target="x86", observer=observer)
    gm = fxpasses.observe(fxpasses.fuse(fxpasses.capture(Logarithm().eval(), torch.ones(2, 7))), config)
    fxpasses.calibrate(gm, [torch.ones(2, 7)])
    with pytest.raises(GraphError, match=r"(?s)node 'log.*test_deferred.py.*NaN.*fix: run the float model"):
        fxpasses.calibrate(gm, [-torch.ones(2, 7)])


def test_no_batch_waits(remote: None) -> None:
    graph = fxpasses.observe(fused("residual_block"), fxpasses.QuantConfig(target="x86"))
    fast, _ = with_activations_in_place(graph)
    with torch.inference_mode(), nothing_read():
        for batch in calibration_data(TINY["residual_block"]):
            fast(*batch)


def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    graph = fxpasses.observe(fused("cat"), X86)
    with pytest.raises(InputError, match="finds no NVIDIA GPU"):
        fxpasses.calibrate(graph, calibration_data(TINY["cat"]), device="cuda")
    assert fxpasses.calibrate(graph, calibration_data(TINY["cat"]), device="cpu") == 8
