from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from fxpasses import FxPassesError, InputError
from fxpasses.quantization.numbers.qparams import INT8_SYMMETRIC, UINT8
from fxpasses.quantization.ranges.observers import (
    EntropyObserver,
    HistogramObserver,
    MinMaxObserver,
    MovingAverageObserver,
    NothingObserved,
    Observer,
    PercentileObserver,
)

Make = Callable[[], Observer]
HISTOGRAMS: list[Make] = [HistogramObserver, PercentileObserver, EntropyObserver]
ORDER_FREE: list[Make] = [MinMaxObserver, *HISTOGRAMS]
ALL: list[Make] = [*ORDER_FREE, MovingAverageObserver]

AVERAGING = 1e-6
"""Tolerance of a moving average in float64 of float32 values, a dozen steps."""

batches = st.lists(
    st.lists(st.floats(-1e5, 1e5, width=32, allow_subnormal=False), min_size=1, max_size=30), min_size=1, max_size=5
)


def watched(make: Make, *parts: Tensor) -> Observer:
    observer = make()
    for part in parts:
        observer(part)
    return observer


@pytest.mark.parametrize("make", ALL)
def test_what_passes_is_not_changed(make: Make) -> None:
    x = torch.randn(2, 3, 4, requires_grad=True)
    before = x.detach().clone()
    observer = make()
    assert observer(x) is x
    assert torch.equal(x, before)
    assert observer.observed == 24


@pytest.mark.parametrize("make", ALL)
def test_nothing_of_what_passes_is_kept(make: Make) -> None:
    observer = watched(make, torch.randn(100_000, requires_grad=True))
    held: list[Tensor] = [*observer.buffers(), *observer.parameters()]
    held += [v for owner in (observer, getattr(observer, "histogram", observer)) for v in vars(owner).values()
             if isinstance(v, Tensor)]  # fmt: skip
    sizes = [t.numel() for t in held]
    for _ in range(5):
        observer(torch.randn(50_000) * 30)
    assert sizes == [t.numel() for t in held]
    assert sum(sizes) <= 4096
    assert not any(t.requires_grad for t in held)


@pytest.mark.parametrize("make", ORDER_FREE)
@settings(max_examples=10, deadline=None)
@given(parts=batches)
def test_order_and_batching_do_not_matter(make: Make, parts: list[list[float]]) -> None:
    tensors = [torch.tensor(p) for p in parts]
    one = watched(make, torch.cat(tensors))
    for other in (watched(make, *tensors), watched(make, *(t.flip(0) for t in reversed(tensors)))):
        assert other.range() == one.range()
        assert other.qparams(INT8_SYMMETRIC, symmetric=True) == one.qparams(INT8_SYMMETRIC, symmetric=True)
        assert (other.observed, other.extremes) == (one.observed, one.extremes)


@pytest.mark.parametrize("make", HISTOGRAMS)
@settings(max_examples=15, deadline=None)
@given(parts=batches)
def test_no_range_is_wider_than_the_data_and_zero(make: Make, parts: list[list[float]]) -> None:
    observer = watched(make, *map(torch.tensor, parts))
    low, high = observer.range()
    assert min(observer.extremes[0], 0.0) <= low <= 0.0 <= high <= max(observer.extremes[1], 0.0)


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("value", [0.0, 4.0, -4.0])
def test_constants_calibrate(make: Make, value: float) -> None:
    observer = watched(make, torch.full((3, 5), value), torch.full((3, 5), value))
    for q in (observer.qparams(UINT8), observer.qparams(INT8_SYMMETRIC, symmetric=True)):
        level = round(value / q.scale) + q.zero_point
        assert q.grid.low <= level <= q.grid.high
        assert (level - q.zero_point) * q.scale == pytest.approx(value, rel=0.01)


@pytest.mark.parametrize("make", ALL)
def test_asking_before_anything_was_seen(make: Make) -> None:
    for ask in (make().range, lambda: make().qparams(UINT8), watched(make, torch.zeros(0, 3)).range):
        with pytest.raises(NothingObserved, match="no value has passed this observer"):
            ask()
    assert issubclass(NothingObserved, FxPassesError) and issubclass(NothingObserved, ValueError)


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize(("bad", "text"), [(math.nan, "met NaN"), (math.inf, "met infinity")])
def test_values_that_are_not_finite_are_refused_at_once(make: Make, bad: float, text: str) -> None:
    observer = watched(make, torch.tensor([1.0, 2.0]))
    before = observer.range()
    with pytest.raises(InputError, match=text):
        observer(torch.tensor([[0.5, bad]]))
    assert observer.range() == before and observer.observed == 2


@pytest.mark.parametrize("make", ALL)
def test_integers_are_refused(make: Make) -> None:
    with pytest.raises(InputError, match="calibration met a tensor of int64"):
        make()(torch.arange(3))


@pytest.mark.parametrize("make", ALL)
def test_inference_mode_and_copies(make: Make) -> None:
    observer = make()
    with torch.inference_mode():
        observer(torch.tensor([1.0, -1.0]))
    twin = copy.deepcopy(observer)
    twin(torch.tensor([5.0, -50.0]))
    assert observer.extremes == (-1.0, 1.0)
    assert twin.extremes == (-50.0, 5.0)


def test_observers_are_modules() -> None:
    net = nn.Sequential(nn.Linear(3, 4), MinMaxObserver())
    net(torch.randn(2, 3))
    assert isinstance(net[1], Observer) and net[1].observed == 8
    assert list(net.state_dict()) == ["0.weight", "0.bias"]


def test_min_max_is_exact() -> None:
    observer = watched(MinMaxObserver, torch.tensor([0.25, -3.0]), torch.tensor([7.125]))
    assert observer.range() == observer.extremes == (-3.0, 7.125)


def test_moving_average_follows_the_batches() -> None:
    """The plain mean of the first ten batches, then a tenth of each new one."""
    observer = MovingAverageObserver(momentum=0.1)
    ends = [(-1.0 - k, 2.0 + k) for k in range(14)]
    for low, high in ends:
        observer(torch.tensor([low, high]))
    low, high = (sum(values) / 10 for values in zip(*ends[:10], strict=True))
    for k in range(10, 14):
        low, high = low + 0.1 * (-1.0 - k - low), high + 0.1 * (2.0 + k - high)
    assert observer.range() == pytest.approx((low, high), rel=AVERAGING)
    assert observer.extremes == (-14.0, 15.0)


def test_moving_average_is_not_the_range_of_a_first_batch_of_zeros() -> None:
    observer = MovingAverageObserver()
    for batch in (torch.zeros(2), torch.tensor([-3.0, 5.0]), torch.tensor([-3.0, 5.0])):
        observer(batch)
    assert observer.range() == pytest.approx((-2.0, 10 / 3), rel=AVERAGING)


def test_histogram_weighs_rounding_against_clipping() -> None:
    x = torch.randn(100_000, generator=torch.Generator().manual_seed(0))
    x[0] = 60.0
    assert watched(HistogramObserver, x).range()[1] < 55.0
    coarse = watched(HistogramObserver, x).range(INT8_SYMMETRIC, True)
    less = watched(lambda: HistogramObserver(norm=4.0), x).range(INT8_SYMMETRIC, True)
    assert coarse[0] == -coarse[1]
    assert less[1] > coarse[1]


def test_percentile_cuts_what_it_is_told() -> None:
    x = torch.linspace(-1, 1, 100_001)
    assert watched(lambda: PercentileObserver(99.0), x).range() == pytest.approx((-0.98, 0.98), abs=1e-3)
    assert watched(lambda: PercentileObserver(100.0), x).range() == (-1.0, 1.0)


def test_fewer_bins_are_coarser() -> None:
    x = torch.rand(10_000, generator=torch.Generator().manual_seed(0))
    assert watched(lambda: EntropyObserver(512, limit=None), x).observed == 10_000
    fine, coarse = (watched(partial(PercentileObserver, 90.0, bins), x).range()[1] for bins in (4096, 8))
    assert abs(fine - 0.9) < abs(coarse - 0.9) + 0.01
