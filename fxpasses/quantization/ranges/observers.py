"""Observers: modules that record statistics of an activation and compute a range from them.

Each returns its input unchanged and stores none of it; its memory does not grow with the data. All except the moving
average give the same range for the same samples (dimension 0) in any order and any split into batches.

| name | range | per value |
|---|---|---|
| `minmax` | exact minimum and maximum | one pass |
| `moving_average` | smoothed minimum and maximum of the batches (Jacob et al. 2018, section 3.1) | one pass |
| `histogram` | least quantization error for the measured distribution | min-max and a histogram |
| `percentile` | cuts a given share of the values at either end | min-max and a histogram |
| `sweep` | the range of the observer in this table with the best outputs of the whole net | the same, and ten
conversions | | `entropy` | least Kullback-Leibler divergence (Migacz 2017) with at most the error of no clipping | the
same |
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from ...errors import FxPassesError
from ..numbers.qparams import UINT8, IntType, QParams
from .deferred import DeferredEnds, is_remote
from .histogram import DEFAULT_BINS, DEFAULT_LIMIT, StreamingHistogram, finite_range, require_finite
from .range_search import Range, least_entropy_range, least_error_range, percentile_range, qparams_of


class NothingObserved(FxPassesError, ValueError):
    """Error: a range was requested from an observer before any data."""

    def __init__(self) -> None:
        super().__init__("no value has passed this observer: run the calibration data through the graph first")


class Observer(nn.Module, ABC):
    """Module that returns its input and records its range; ``observed`` is the number of values so far."""

    def forward(self, x: Tensor) -> Tensor:
        self.observe(x)
        return x

    def observe(self, x: Tensor) -> None:
        """Record all values of ``x``.

        Raises:
            InputError: ``x`` is not floating point, or holds NaN or infinity; none of it has been recorded.
        """
        if x.numel():
            self._take_in(x.detach() if x.requires_grad else x)

    def settle(self) -> None:
        """Take over what was seen on a GPU, where nothing is read while data passes.

        Raises:
            InputError: there was NaN or infinity in it.
        """

    @property
    @abstractmethod
    def observed(self) -> int:
        """Number of values recorded so far."""

    @property
    @abstractmethod
    def extremes(self) -> Range:
        """Exact minimum and maximum of all recorded values; (inf, -inf) before the first."""

    @abstractmethod
    def _take_in(self, x: Tensor) -> None: ...

    @abstractmethod
    def _chosen_range(self, grid: IntType, symmetric: bool) -> Range: ...

    def range(self, grid: IntType = UINT8, symmetric: bool = False) -> Range:
        """The calibrated (low, high); observers that weigh rounding against clipping need to know the integer type.

        Raises:
            NothingObserved: no value has been recorded.
        """
        if not self.observed:
            raise NothingObserved
        return self._chosen_range(grid, symmetric)

    def qparams(self, grid: IntType, symmetric: bool = False) -> QParams:
        """Scale and zero point for the calibrated range.

        Raises:
            NothingObserved: no value has been recorded.
        """
        return qparams_of(self.range(grid, symmetric), grid, symmetric=symmetric)


class MinMaxObserver(Observer):
    """Observer of the exact minimum and maximum."""

    def __init__(self) -> None:
        super().__init__()
        self._seen = 0
        self._ends: Range = (float("inf"), float("-inf"))
        self._deferred = DeferredEnds()

    def settle(self) -> None:
        low, high = self._deferred.read()
        self._deferred = DeferredEnds()
        if (low, high) != (float("inf"), float("-inf")):
            require_finite(low, high)
        self._ends = min(self._ends[0], low), max(self._ends[1], high)

    @property
    def observed(self) -> int:
        return self._seen

    @property
    def extremes(self) -> Range:
        return self._ends

    def _take_in(self, x: Tensor) -> None:
        if is_remote(x):
            self._deferred.add(x)
        else:
            low, high = finite_range(x)
            self._ends = min(self._ends[0], low), max(self._ends[1], high)
        self._seen += x.numel()

    def _chosen_range(self, grid: IntType, symmetric: bool) -> Range:
        return self._ends

    @classmethod
    def of(cls, source: Observer) -> MinMaxObserver:
        """The observer with the data that another observer has recorded."""
        made = cls()
        made._seen, made._ends = source.observed, source.extremes
        return made


class MovingAverageObserver(MinMaxObserver):
    """Observer of a moving average of each batch's minimum and maximum: ``new = old + momentum * (batch - old)``.

    The first ``1 / momentum`` batches weigh the same: with few batches, or a first one of zeros, the average would else
    be the first batch's range.
    """

    def __init__(self, momentum: float = 0.01) -> None:
        super().__init__()
        self.momentum = momentum
        self._average: Range = (0.0, 0.0)
        self._batches = 0

    def _take_in(self, x: Tensor) -> None:
        super()._take_in(x)
        low, high = finite_range(x)
        self._batches += 1
        weight = max(self.momentum, 1 / self._batches)
        old_low, old_high = self._average
        self._average = old_low + weight * (low - old_low), old_high + weight * (high - old_high)

    def _chosen_range(self, grid: IntType, symmetric: bool) -> Range:
        return self._average


class _HistogramBased(Observer):
    def __init__(self, bins: int = DEFAULT_BINS, limit: int | None = DEFAULT_LIMIT) -> None:
        super().__init__()
        self.histogram = StreamingHistogram(bins, limit)

    def settle(self) -> None:
        self.histogram.settle()

    @property
    def observed(self) -> int:
        return self.histogram.observed

    @property
    def extremes(self) -> Range:
        return self.histogram.low, self.histogram.high

    def _take_in(self, x: Tensor) -> None:
        self.histogram.add(x)


class HistogramObserver(_HistogramBased):
    """Observer of the range with the least ``|error| ** norm``; norm 2 is MSE, a higher norm clips less."""

    def __init__(self, norm: float = 2.0, bins: int = DEFAULT_BINS, limit: int | None = DEFAULT_LIMIT) -> None:
        super().__init__(bins, limit)
        self.norm = norm

    def _chosen_range(self, grid: IntType, symmetric: bool) -> Range:
        return least_error_range(self.histogram.measured(), grid, symmetric=symmetric, norm=self.norm)


class Sweeping(HistogramObserver):
    """A histogram observer that :func:`fxpasses.sweep_observers` replaces by the observer with the best outputs."""


class PercentileObserver(_HistogramBased):
    """Observer of a range without ``100 - percentile`` per cent of the values at either end.

    99.9 can ruin a transformer that 99.999 does not harm (docs/lab_notes.md).
    """

    def __init__(self, percentile: float = 99.999, bins: int = DEFAULT_BINS, limit: int | None = DEFAULT_LIMIT) -> None:
        super().__init__(bins, limit)
        self.percentile = percentile

    def _chosen_range(self, grid: IntType, symmetric: bool) -> Range:
        return percentile_range(self.histogram.measured(), self.percentile, symmetric=symmetric)


class EntropyObserver(_HistogramBased):
    """Observer of the clipping that changes the distribution least, by Kullback-Leibler divergence."""

    def _chosen_range(self, grid: IntType, symmetric: bool) -> Range:
        return least_entropy_range(self.histogram.measured(), grid, symmetric=symmetric)
