"""A histogram of a stream of tensors with fixed memory; the order of the data and its batches do not change the result.

Bin ``i`` holds ``i * width <= x < (i + 1) * width`` for ``-bins <= i < bins``; ``width`` is a power of two, the
smallest for which the largest magnitude so far fits. So zero is always an edge, and when a larger value arrives,
neighbours are added in pairs until it fits: ``floor(floor(x / w) / 2) == floor(x / (2 * w))``. Nothing is interpolated
or re-sampled, and multiplying by ``1 / width`` is exact in float32. The counts are therefore a pure function of the
multiset of values seen (torch.ao's HistogramObserver spreads old counts over new bins, and depends on their order).
At least half of the bins of the longer side lie inside the data's range.

Counting would dominate the time for large tensors. So for samples ``x[n]`` with more than ``limit`` values only every
k-th run of neighbours in memory is counted, k times; a run is one cache line, so the rest is not read at all. The
stride k shares no factor with the number of runs in a sample, and continues from one sample to the next: every row,
column and channel is counted equally often, and no position is always skipped. The result still does not depend on the
batches, and hardly on the order of samples. Minimum and maximum always include every value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import InputError
from ..numbers.qparams import as_float32
from .deferred import DeferredCounts, is_remote

DEFAULT_BINS = 2048
DEFAULT_LIMIT = 1 << 16
"""Number of values counted per sample.

The resulting ranges have hardly more error than those of a full count; with 1 << 14 values it is several times as much
(docs/lab_notes.md).
"""
_CHUNK = 1 << 18
"""Number of values binned at a time; it bounds temporary memory (float32 and int16) to 1.5 MB.

A smaller number fits the core's first caches, but the extra calls take longer.
"""
_RUN = 16
"""Values in a cache line, in float32."""
_SMALLEST_EXPONENT = -100
"""Smallest bin width, as a power of two; ``1 / width`` stays finite in float32."""


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
    lowest, highest = torch.aminmax(_in_memory_order(x))
    low, high = lowest.item(), highest.item()
    if x.dtype == torch.float64:
        low, high = as_float32(low), as_float32(high)
    require_finite(low, high, x.shape)
    return low, high


def require_finite(low: float, high: float, shape: Sequence[int] | None = None) -> None:
    """Raise InputError if an end of a range is NaN or infinite; ``shape`` is that of the tensor, where one is known."""
    if not (math.isfinite(low) and math.isfinite(high)):
        found = "NaN" if math.isnan(low) or math.isnan(high) else "infinity"
        where = "" if shape is None else f" in a tensor of shape {list(shape)}"
        raise InputError(
            f"calibration met {found}{where}",
            why="a range that is not finite has no scale",
            fix="check the calibration data for NaN or infinity, and that the float model is finite on it",
        )


@dataclass(frozen=True)
class Histogram:
    """A measured distribution: ``counts`` [B] and ``edges`` [B + 1] (float64, ascending, from ``low`` to ``high``).

    Values are taken to be uniform between the edges of their bin. ``low`` and ``high`` are the exact ends of the data.
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
    """Histogram of ``2 * bins`` bins whose width doubles as needed; see the docstring of this module."""

    def __init__(self, bins: int = DEFAULT_BINS, limit: int | None = DEFAULT_LIMIT) -> None:
        if bins < 2 or bins & (bins - 1) or bins > 1 << 14:
            raise InputError(
                f"a histogram of {bins} bins",
                why="neighbours are merged in pairs, and bin numbers are kept in 16 bits",
                fix="choose a power of two from 2 to 16384",
            )
        self.bins = bins
        self.limit = limit
        self.counts = torch.zeros(2 * bins, dtype=torch.int64)
        self.exponent = _SMALLEST_EXPONENT
        self.low, self.high = math.inf, -math.inf
        self.observed = 0
        self.samples = 0
        self._deferred: DeferredCounts | None = None

    @property
    def width(self) -> float:
        return 2.0**self.exponent

    def add(self, x: Tensor) -> None:
        """Count a floating-point tensor of any shape and layout; dimension 0 holds the samples.

        Tensors on a GPU are counted there; what was found is here after :meth:`settle`.

        Raises:
            InputError: in the cases of :func:`finite_range`; nothing is counted then.
        """
        if x.numel() == 0:
            return
        if x.requires_grad:
            x = x.detach()
        deferred = self._deferred_on(x)
        low = -math.inf
        if deferred is None:
            low, high = finite_range(x)
            self._make_room(low, high)
        number = x.shape[0] if x.dim() else 1
        size = x.numel() // number
        stride = _stride(size, self.limit)
        chosen = _in_memory_order(x)
        if stride > 1:
            one_by_one = number == 1 or x.stride(0) == max(x.stride())
            runs = _in_memory_order(x if one_by_one else x.contiguous()).view(-1, _run(size))
            next_one = -self.samples * (size // _run(size)) % stride
            chosen = runs[next_one::stride]
        if deferred is None:
            self._count(chosen, stride, signed=low < 0)
        else:
            deferred.add(chosen if stride == 1 else x, chosen, stride)
        self.observed += x.numel()
        self.samples += number

    def settle(self) -> None:
        """Take over what was counted on a GPU.

        Raises:
            InputError: there was NaN or infinity in it.
        """
        deferred, self._deferred = self._deferred, None
        if deferred is not None:
            low, high = deferred.ends.read()
            require_finite(low, high)
            self._make_room(low, high)
            self.counts += deferred.read(self.width)

    def merge(self, other: StreamingHistogram) -> None:
        """Add the counts of another histogram with the same number of bins, as if its values had been added."""
        assert self.bins == other.bins, "only histograms of equal bins merge"
        self._make_room(other.low, other.high)
        self.counts += _doubled(other.counts, self.exponent - other.exponent)
        self.observed += other.observed
        self.samples += other.samples

    def measured(self) -> Histogram:
        """The bins between the exact ends of the data; at least one value must have been added."""
        assert self.observed, "an empty histogram has no range"
        first, last = (self.bins + math.floor(end / self.width) for end in (self.low, self.high))
        counts = self.counts.double()
        counts[[first, last]] = counts[[first, last]].clamp(min=1.0)  # the extremes may not have been counted
        numbers = torch.arange(first - self.bins, last + 2 - self.bins, dtype=torch.float64)
        edges = numbers * self.width
        sliver = self.width / 1024  # a bin's width is never 0, even if all of its values are equal
        edges[0] = min(max(float(edges[0]), self.low), float(edges[1]) - sliver)
        edges[-1] = max(min(float(edges[-1]), self.high), float(edges[-2]) + sliver)
        return Histogram(counts[first : last + 1], edges, self.low, self.high)

    def _deferred_on(self, x: Tensor) -> DeferredCounts | None:
        """Counts that stay on a GPU until :meth:`settle`; None for data on the CPU, where numbers are read at once."""
        if is_remote(x) and self._deferred is None:
            self._deferred = DeferredCounts(self.bins, x.device)
        return self._deferred if is_remote(x) else None

    def _make_room(self, low: float, high: float) -> None:
        self.low, self.high = min(self.low, low), max(self.high, high)
        peak = max(abs(self.low), abs(self.high))
        if peak == 0 or math.isinf(peak):
            return  # only zeros so far, or no values: any width is right
        needed = max(math.frexp(peak)[1] - (self.bins.bit_length() - 1), _SMALLEST_EXPONENT)
        if needed > self.exponent:
            self.counts = _doubled(self.counts, needed - self.exponent)
            self.exponent = needed

    def _count(self, values: Tensor, times: int, *, signed: bool) -> None:
        """Add values, each ``times`` times, that fit into the bins: ``[V]``, or runs of them, ``[R, V]``."""
        at_once = _CHUNK // max(1, values[:1].numel())
        for part in values.split(at_once) if len(values) > at_once else [values]:
            scaled = part.to(torch.float32) * (1.0 / self.width)
            if signed:  # without negative values truncation is floor, which saves two passes
                scaled.floor_().add_(self.bins)
            places = scaled.to(torch.int16).flatten()
            counted = torch.bincount(places, minlength=2 * self.bins if signed else self.bins)
            self.counts[-counted.shape[0] :].add_(counted.to(self.counts.device), alpha=times)


def _doubled(counts: Tensor, times: int) -> Tensor:
    """Merge neighbouring bins ``times`` times; the bins around zero stay in the middle. The input is not changed."""
    half = len(counts) // 2
    with torch.inference_mode(False):  # a tensor made in inference mode could not be added to outside of it
        for _ in range(min(times, half.bit_length())):
            pairs = counts.view(-1, 2).sum(1)
            counts = torch.zeros_like(counts)
            counts[half // 2 : half // 2 + half] = pairs
    return counts


def _in_memory_order(x: Tensor) -> Tensor:
    """All values as one dimension; a view wherever the tensor is dense (channels_last too), else a copy."""
    if not x.is_contiguous():
        strides = x.stride()
        x = x.permute(sorted(range(x.dim()), key=lambda d: -strides[d]))
    return x.reshape(-1)


def _run(size: int) -> int:
    """Number of neighbours of a sample of ``size`` values that are counted together."""
    return math.gcd(size, _RUN)


def _stride(size: int, limit: int | None) -> int:
    """The counting stride: 1 up to the limit, else the smallest sufficient one that shares no factor with the runs."""
    stride = 1 if limit is None else math.ceil(size / limit)
    while math.gcd(stride, size // _run(size)) > 1:
        stride += 1
    return stride
