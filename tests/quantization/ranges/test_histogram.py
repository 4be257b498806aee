from __future__ import annotations

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from same_histograms import assert_same
from torch import Tensor

from fxpasses import InputError
from fxpasses.quantization.ranges.histogram import Histogram, StreamingHistogram, finite_range

MASS_STEP = 1e-12
"""Counts below 2**53 are exact in float64; quantiles divide them once or twice."""

normal = st.floats(-1e6, 1e6, width=32, allow_subnormal=False)
batches = st.lists(st.lists(normal, min_size=1, max_size=40), min_size=1, max_size=6)


def histogram_of(*parts: Tensor, bins: int = 64) -> StreamingHistogram:
    histogram = StreamingHistogram(bins)
    for part in parts:
        histogram.add(part)
    return histogram


@given(batches)
def test_growing_by_batches_equals_everything_at_once(parts: list[list[float]]) -> None:
    tensors = [torch.tensor(p) for p in parts]
    assert_same(histogram_of(*tensors), histogram_of(torch.cat(tensors)))


@given(batches)
def test_order_and_split_do_not_matter(parts: list[list[float]]) -> None:
    values = torch.tensor([v for p in parts for v in p])
    shuffled = values[torch.randperm(len(values), generator=torch.Generator().manual_seed(len(values)))]
    cut = len(values) // 3
    assert_same(histogram_of(values), histogram_of(shuffled[cut:], shuffled[:cut]))


@given(batches, batches)
def test_merging_equals_seeing_both(a: list[list[float]], b: list[list[float]]) -> None:
    left, right = ([torch.tensor(p) for p in parts] for parts in (a, b))
    for first, second in ((left, right), (right, left)):
        merged = histogram_of(*first)
        merged.merge(histogram_of(*second))
        assert_same(merged, histogram_of(*left, *right))


def test_merging_with_nothing_changes_nothing() -> None:
    merged = histogram_of(torch.tensor([1.0, -2.0]))
    merged.merge(StreamingHistogram(64))
    assert_same(merged, histogram_of(torch.tensor([1.0, -2.0])))
    empty = StreamingHistogram(64)
    empty.merge(StreamingHistogram(64))
    assert empty.observed == 0 and int(empty.counts.sum()) == 0


@given(batches)
def test_each_value_lies_in_its_bin(parts: list[list[float]]) -> None:
    histogram = histogram_of(*map(torch.tensor, parts), bins=16)
    expected = torch.zeros(32, dtype=torch.int64)
    for value in (v for p in parts for v in p):
        expected[16 + math.floor(value / histogram.width)] += 1
    assert torch.equal(histogram.counts, expected)


@given(batches)
def test_extremes_and_mass_are_exact(parts: list[list[float]]) -> None:
    values = [v for p in parts for v in p]
    measured = histogram_of(*map(torch.tensor, parts)).measured()
    assert (measured.low, measured.high) == (min(values), max(values))
    assert measured.total == len(values)
    assert bool((measured.edges.diff() > 0).all())


def test_half_of_the_bins_are_in_use() -> None:
    for peak in (1.0, 1.001, 1.999, 3e-5, 7e8):
        histogram = histogram_of(torch.linspace(0, peak, 5000), bins=128)
        assert 64 <= int(histogram.counts.count_nonzero()) <= 128


def test_memory_does_not_grow() -> None:
    histogram = histogram_of(torch.randn(1000))
    held = {k: v.numel() for k, v in vars(histogram).items() if isinstance(v, Tensor)}
    for scale in (1.0, 50.0, 1e-3):
        for _ in range(20):
            histogram.add(torch.randn(1000) * scale)
    assert held == {k: v.numel() for k, v in vars(histogram).items() if isinstance(v, Tensor)} == {"counts": 128}


@pytest.mark.parametrize("chunk", [1, 7, 1 << 18])
def test_chunks_do_not_matter(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(2, 3, 5, 4)
    whole = histogram_of(x)
    monkeypatch.setattr("fxpasses.quantization.ranges.histogram._CHUNK", chunk)
    assert_same(histogram_of(x), whole)


@pytest.mark.parametrize(
    "layout",
    [
        lambda x: x.to(memory_format=torch.channels_last),
        lambda x: x.transpose(1, 3).contiguous().transpose(1, 3),
        lambda x: torch.stack([x, x + 100])[0],
        lambda x: torch.cat([x, x], 3)[..., :5],
        lambda x: x.flatten(),
    ],
)
def test_layout_does_not_matter(layout: object) -> None:
    x = torch.randn(2, 3, 4, 5)
    assert callable(layout)
    assert_same(histogram_of(layout(x)), histogram_of(x))


def test_expanded_values_count_each_time() -> None:
    assert_same(histogram_of(torch.ones(1, 3).expand(4, 3)), histogram_of(torch.ones(12)))


def test_a_scalar_counts_once() -> None:
    assert histogram_of(torch.tensor(2.5)).observed == 1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("shift", [0.0, 5.0])
def test_other_floats_are_read_as_float32(dtype: torch.dtype, shift: float) -> None:
    x = (torch.randn(500) + shift).to(dtype)
    assert_same(histogram_of(x), histogram_of(x.float()))


def test_float64_just_below_a_power_of_two_fits() -> None:
    histogram = histogram_of(torch.tensor([2.0 - 2.0**-40, -2.0 + 2.0**-40], dtype=torch.float64))
    assert histogram.observed == int(histogram.counts.sum()) == 2


@pytest.mark.parametrize("peak", [3.4e38, 1e-38, 1e-45, 2.0**-96])
def test_the_ends_of_float32(peak: float) -> None:
    histogram = histogram_of(torch.tensor([peak, -peak, 0.0]))
    assert int(histogram.counts.sum()) == 3
    assert histogram.measured().high == float(torch.tensor(peak))


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, 1.7, -1.7, 1024.0, -1e-3])
def test_a_constant_has_a_proper_histogram(value: float) -> None:
    measured = histogram_of(torch.full((10,), value)).measured()
    assert measured.low == measured.high == float(torch.tensor(value))
    assert measured.counts.tolist() == [10.0]
    assert measured.quantile(0.5) == measured.low
    assert measured.folded().quantile(0.5) == abs(measured.low)


def test_zeros_first_do_not_fix_the_width() -> None:
    assert_same(histogram_of(torch.zeros(5), torch.tensor([1.0])), histogram_of(torch.tensor([1.0, 0, 0, 0, 0, 0])))
    assert_same(histogram_of(torch.zeros(5), torch.tensor([1e-9])), histogram_of(torch.tensor([1e-9, 0, 0, 0, 0, 0])))


def test_nothing_is_counted_of_an_empty_tensor() -> None:
    assert histogram_of(torch.zeros(0, 3)).observed == 0


def test_counts_made_in_inference_mode_can_be_added_to_outside() -> None:
    histogram = StreamingHistogram(64)
    with torch.inference_mode():
        histogram.add(torch.randn(10))
        histogram.add(torch.randn(10) * 100)
    histogram.add(torch.randn(10, requires_grad=True))
    assert copy.deepcopy(histogram).counts.sum() == 30
    assert not histogram.counts.requires_grad


@settings(max_examples=50, deadline=None)
@given(batches, st.floats(0.0, 1.0))
def test_quantiles_are_right_to_one_bin(parts: list[list[float]], fraction: float) -> None:
    values = torch.tensor([v for p in parts for v in p], dtype=torch.float64).sort().values
    histogram = histogram_of(*map(torch.tensor, parts))
    found = histogram.measured().quantile(fraction)
    rank = fraction * len(values)
    below = values[max(math.ceil(rank - MASS_STEP * rank) - 1, 0)]
    assert abs(found - float(below)) <= histogram.width


def test_quantiles_interpolate_and_stay_within_the_data() -> None:
    measured = histogram_of(torch.linspace(0, 1, 100001)).measured()
    assert measured.quantile(0.25) == pytest.approx(0.25, abs=1e-4)
    assert (measured.quantile(0.0), measured.quantile(1.0)) == (0.0, 1.0)


@given(batches)
def test_folding_is_the_histogram_of_magnitudes(parts: list[list[float]]) -> None:
    histogram = histogram_of(*map(torch.tensor, parts))
    magnitudes = histogram_of(*(torch.tensor(p).abs() for p in parts)).measured()
    folded = histogram.measured().folded()
    assert folded.total == magnitudes.total
    assert folded.high == magnitudes.high
    assert bool((folded.edges.diff() > 0).all()) and float(folded.edges[0]) >= 0
    assert abs(folded.quantile(0.7) - magnitudes.quantile(0.7)) <= histogram.width


def test_centers_lie_between_edges() -> None:
    measured = Histogram(torch.ones(2).double(), torch.tensor([0.0, 1.0, 4.0]).double(), 0.0, 4.0)
    assert measured.centers.tolist() == [0.5, 2.5]


@pytest.mark.parametrize("bins", [0, 1, 100, -8, 1 << 15])
def test_bins_must_be_a_power_of_two(bins: int) -> None:
    with pytest.raises(InputError, match=f"a histogram of {bins} bins"):
        StreamingHistogram(bins)


@pytest.mark.parametrize(
    ("bad", "text"), [(math.nan, "met NaN"), (math.inf, "met infinity"), (-math.inf, "met infinity")]
)
def test_values_that_are_not_finite_are_refused_and_not_counted(bad: float, text: str) -> None:
    histogram = histogram_of(torch.randn(4))
    before = copy.deepcopy(histogram)
    x = torch.randn(3, 100)
    x[1, 50] = bad
    with pytest.raises(InputError, match=rf"{text} in a tensor of shape \[3, 100\]"):
        histogram.add(x)
    assert_same(histogram, before)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_only_floats_have_a_range(dtype: torch.dtype) -> None:
    with pytest.raises(InputError, match=str(dtype).removeprefix("torch.")):
        finite_range(torch.ones(3, dtype=dtype))
