"""Whether two histograms are the same."""

from __future__ import annotations

import torch

from fxpasses.quantization.ranges.histogram import StreamingHistogram


def assert_same(a: StreamingHistogram, b: StreamingHistogram) -> None:
    assert torch.equal(a.counts, b.counts)
    assert (a.exponent, a.low, a.high, a.observed) == (b.exponent, b.low, b.high, b.observed)
