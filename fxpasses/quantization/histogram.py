"""A histogram of a stream of tensors: memory fixed, result independent of order and of how the data is batched.

Bin ``i`` holds ``i * width <= x < (i + 1) * width`` for ``-bins <= i < bins``; ``width`` is a power of two, the
smallest for which the largest magnitude so far fits. So zero is always an edge, and when a larger value arrives,
neighbours are added in pairs until it fits: ``floor(floor(x / w) / 2) == floor(x / (2 * w))``. Nothing is interpolated
or re-sampled, and multiplying by ``1 / width`` is exact in float32. The counts are therefore a pure function of the
multiset of values seen (torch.ao's HistogramObserver spreads old counts over new bins, and depends on their order).
At least half of the bins of the longer side lie inside the data's range. Minimum and maximum are kept exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError

DEFAULT_BINS = 2048
_CHUNK = 1 << 18
"""Values binned at a time: the two work buffers (float32 and int16, 1.5 MB) stay in a core's cache."""
_SMALLEST_EXPONENT = -100
"""Smallest bin width, as a power of two: keeps ``1 / width`` finite in float32."""


def finite_range(x: Tensor) -> tuple[float, float]:
    """Exact minimum and maximum of a non-empty floating-point tensor, as float32.

    Raises:
        InputError: the tensor is not floating point, or holds NaN or infinity.
    """
    if not x.is_floating_point():
        raise InputError(
            f"calibration met a tensor of {str(x.dtype).removeprefix('torch.')}",
            why="only floating-point tensors have a range to calibrate",
            fix="keep the operator that reads it in float",
        )
    ends = torch.stack(torch.aminmax(x)).float().tolist()
    low, high = float(ends[0]), float(ends[1])
    if not (math.isfinite(low) and math.isfinite(high)):
        found = "NaN" if math.isnan(low) or math.isnan(high) else "infinity"
        raise InputError(
            f"calibration met {found} in a tensor of shape {list(x.shape)}",
            why="a range that is not finite has no scale",
            fix="check the calibration data for NaN or infinity, and that the float model is finite on it",
        )
    return low, high


@dataclass(frozen=True)
class Histogram:
    """What was measured: ``counts`` [B] and ``edges`` [B + 1] (float64, ascending, from ``low`` to ``high``).

    The mass of a bin is taken to be uniform between its edges. ``low`` and ``high`` are the exact ends of the data.
    """

    counts: Tensor
    edges: Tensor
    low: float
    high: float

    @property
    def total(self) -> float:
        return float(self.counts.sum())

    @property
    def centers(self) -> Tensor:
        return (self.edges[1:] + self.edges[:-1]) / 2

    def quantile(self, fraction: float) -> float:
        """The value below which this fraction of the mass lies, interpolated inside its bin."""
        mass = torch.cat([self.counts.new_zeros(1), self.counts.cumsum(0)])
        wanted = fraction * float(mass[-1])
        right = int(torch.searchsorted(mass, torch.tensor(wanted, dtype=mass.dtype)).clamp(1, len(mass) - 1))
        inside = (wanted - float(mass[right - 1])) / max(float(mass[right] - mass[right - 1]), 1.0)
        start, end = float(self.edges[right - 1]), float(self.edges[right])
        return min(max(start + inside * (end - start), self.low), self.high)

    def folded(self) -> Histogram:
        """The histogram of the magnitudes |x|."""
        if self.low >= 0:
            return self
        cut = int((self.edges < 0).sum())  # bins left of zero: zero is an edge, or the end, of every histogram
        positive, negative = self.counts[cut:], self.counts[:cut].flip(0)
        edges = max(self.edges[cut:], -self.edges[: cut + 1].flip(0), key=len)
        counts = self.counts.new_zeros(len(edges) - 1)
        counts[: len(positive)] += positive
        counts[: len(negative)] += negative
        return Histogram(counts, edges, max(-self.high, 0.0), max(-self.low, self.high))


class StreamingHistogram:
    """Counts values into ``2 * bins`` bins whose width doubles as needed; see the module's text."""

    def __init__(self, bins: int = DEFAULT_BINS) -> None:
        if bins < 2 or bins & (bins - 1) or bins > 1 << 14:
            raise InputError(
                f"a histogram of {bins} bins",
                why="neighbours are merged in pairs, and bin numbers are kept in 16 bits",
                fix="choose a power of two from 2 to 16384",
            )
        self.bins = bins
        self.counts = torch.zeros(2 * bins, dtype=torch.int64)
        self.exponent = _SMALLEST_EXPONENT
        self.low, self.high = math.inf, -math.inf
        self.observed = 0

    @property
    def width(self) -> float:
        return 2.0**self.exponent

    def add(self, x: Tensor) -> None:
        """Counts every value of a floating-point tensor of any shape and layout.

        Raises:
            InputError: as :func:`finite_range`; nothing has been counted then.
        """
        if x.numel() == 0:
            return
        low, high = finite_range(x)
        with torch.inference_mode(False), torch.no_grad():  # counts made in inference mode could not be added to later
            self._make_room(low, high)
            self._count(_in_memory_order(x.detach()), signed=low < 0)
        self.observed += x.numel()

    def merge(self, other: StreamingHistogram) -> None:
        """Adds what another histogram of as many bins has counted: the same as having seen its values."""
        assert self.bins == other.bins, "only histograms of equal bins merge"
        self._make_room(other.low, other.high)
        self.counts += _doubled(other.counts, self.exponent - other.exponent)
        self.observed += other.observed

    def measured(self) -> Histogram:
        """The bins between the exact ends of the data; at least one value must have been seen."""
        assert self.observed, "an empty histogram has no range"
        used = self.counts.nonzero().flatten()
        first, last = int(used[0]), int(used[-1])
        numbers = torch.arange(first - self.bins, last + 2 - self.bins, dtype=torch.float64)
        edges = numbers * self.width
        sliver = self.width / 1024  # a bin is never empty of width, even if all of its values are equal
        edges[0] = min(max(float(edges[0]), self.low), float(edges[1]) - sliver)
        edges[-1] = max(min(float(edges[-1]), self.high), float(edges[-2]) + sliver)
        return Histogram(self.counts[first : last + 1].double(), edges, self.low, self.high)

    def _make_room(self, low: float, high: float) -> None:
        self.low, self.high = min(self.low, low), max(self.high, high)
        peak = max(abs(self.low), abs(self.high))
        if peak == 0 or math.isinf(peak):
            return  # nothing but zeros so far, or nothing at all: any width will do
        needed = max(math.frexp(peak)[1] - (self.bins.bit_length() - 1), _SMALLEST_EXPONENT)
        if needed > self.exponent:
            self.counts = _doubled(self.counts, needed - self.exponent)
            self.exponent = needed

    def _count(self, values: Tensor, *, signed: bool) -> None:
        """Adds 1-d values that fit. Truncation is floor for those >= 0, which saves two passes after a ReLU."""
        scaled = torch.empty(min(_CHUNK, len(values)), dtype=torch.float32, device=values.device)
        number = torch.empty(len(scaled), dtype=torch.int16, device=values.device)
        for part in values.split(_CHUNK):
            to, bin_of = scaled[: len(part)], number[: len(part)]
            if part.dtype == torch.float32:
                torch.mul(part, 1.0 / self.width, out=to)
            else:
                to.copy_(part).mul_(1.0 / self.width)
            if signed:
                to.floor_().add_(self.bins)
            bin_of.copy_(to)
            counted = torch.bincount(bin_of, minlength=2 * self.bins if signed else self.bins)
            self.counts[-len(counted) :] += counted.to(self.counts.device)


def _doubled(counts: Tensor, times: int) -> Tensor:
    """Adds neighbours in pairs ``times`` times; the bins around zero stay in the middle. Never changes its input."""
    half = len(counts) // 2
    for _ in range(min(times, half.bit_length())):
        pairs = counts.view(-1, 2).sum(1)
        counts = torch.zeros_like(counts)
        counts[half // 2 : half // 2 + half] = pairs
    return counts


def _in_memory_order(x: Tensor) -> Tensor:
    """All values as one dimension; a view wherever the tensor is dense (channels_last too), else a copy."""
    strides = x.stride()
    order = sorted(range(x.dim()), key=lambda d: -strides[d])
    return x.permute(order).reshape(-1)
