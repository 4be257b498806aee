"""A part of each large sample is counted: the same part in any batches, and every place is counted at some time."""

from __future__ import annotations

import pytest
import torch
from same_histograms import assert_same

from fxpasses.quantization.ranges.histogram import StreamingHistogram


@pytest.mark.parametrize("split", [1, 2, 5])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_large_samples_are_thinned_the_same_in_any_batch(split: int, layout: torch.memory_format) -> None:
    x = torch.randn(5, 6, 10, 14).to(memory_format=layout)
    thinned = StreamingHistogram(64, limit=100)
    thinned.add(x)
    parts = StreamingHistogram(64, limit=100)
    for part in x.split(split):
        parts.add(part)
    assert_same(parts, thinned)
    stride, runs = 11, 105  # 840 values are 105 runs of 8; every 9th would do, but 9 and 10 share a factor with 105
    assert int(thinned.counts.sum()) == stride * 8 * len(range(0, 5 * runs, stride))
    assert (thinned.samples, thinned.observed) == (5, 5 * 840)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_thinning_sees_every_channel_row_and_column(layout: torch.memory_format) -> None:
    position = torch.arange(32 * 10 * 14).reshape(1, 32, 10, 14)
    for index, count in ((position // 140, 32), (position // 14 % 10, 10), (position % 14, 14)):
        histogram = StreamingHistogram(64, limit=1000)
        images = torch.cat([index.float() + 1, torch.full((1, 32, 10, 14), 63.0)])  # 63 makes bins one wide
        histogram.add(images.to(memory_format=layout))
        seen = histogram.counts[65 : 65 + count]
        assert bool((seen > 0.5 * 4480 / count).all())
        assert bool((seen < 2 * 4480 / count).all())


def test_thinning_misses_no_place_for_good() -> None:
    histogram = StreamingHistogram(1024, limit=100)
    for _ in range(11):
        histogram.add(torch.arange(840.0).reshape(1, 840))
    assert histogram.counts[1024 : 1024 + 840].tolist() == [11] * 840


def test_thinning_keeps_the_shape_and_the_extremes() -> None:
    x = torch.randn(4, 50_000, generator=torch.Generator().manual_seed(0))
    x[2, 7], x[3, 7] = 20.0, -10.0  # neither is counted
    whole, thinned = StreamingHistogram(256, limit=None), StreamingHistogram(256, limit=5000)
    whole.add(x)
    thinned.add(x)
    assert (thinned.low, thinned.high) == (-10.0, 20.0)
    assert thinned.observed == whole.observed == 200_000
    for fraction in (0.001, 0.1, 0.5, 0.9, 0.999):  # the 20 values beyond 0.001 or so spread by a fifth
        assert thinned.measured().quantile(fraction) == pytest.approx(whole.measured().quantile(fraction), abs=0.2)
    measured = thinned.measured()
    assert (measured.low, measured.high) == (-10.0, 20.0)
    assert measured.counts[[0, -1]].tolist() == [1.0, 1.0]
    assert (float(measured.edges[0]), float(measured.edges[-1])) == pytest.approx((-10.0, 20.0), abs=0.001)


def test_a_limit_of_less_than_a_run_counts_some_samples_not_at_all() -> None:
    histogram = StreamingHistogram(64, limit=4)
    for _ in range(3):
        histogram.add(torch.randn(1, 1000))
    assert histogram.observed == 3000
    assert histogram.measured().total > 0


def test_thinning_does_not_ask_how_samples_lie_in_memory() -> None:
    x = torch.randn(5, 6, 70)
    beside = StreamingHistogram(64, limit=100)
    beside.add(x)
    interleaved = StreamingHistogram(64, limit=100)
    interleaved.add(x.permute(1, 2, 0).contiguous().permute(2, 0, 1))
    assert_same(interleaved, beside)


def test_one_dimension_holds_samples_and_is_never_thinned() -> None:
    histogram = StreamingHistogram(64, limit=10)
    histogram.add(torch.randn(1000))
    assert int(histogram.counts.sum()) == 1000
