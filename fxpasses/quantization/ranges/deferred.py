"""Statistics of observers for data on a GPU: they stay there, so that no batch waits for the CPU to read a number.

Minimum and maximum are two tensors. A histogram's bins depend on the largest value, which is known only at the end; so
values are counted by sign, exponent and the first bits of their mantissa, as many as tell the bins of the largest
values apart. Read at the end, these counts make the very histogram that the CPU would have made.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...errors import InputError

_MANTISSA, _EXPONENTS = 23, 8
_MAGNITUDE = 0x7FFFFFFF


def is_remote(x: Tensor) -> bool:
    """Whether reading a number of ``x`` would wait for another device."""
    return x.device.type != "cpu"


class DeferredEnds:
    """Minimum and maximum of all tensors added, on their device."""

    def __init__(self) -> None:
        self._ends: tuple[Tensor, Tensor] | None = None

    def add(self, x: Tensor) -> None:
        if not x.is_floating_point():
            raise InputError(
                f"calibration met a tensor of {str(x.dtype).removeprefix('torch.')}",
                why="only floating-point tensors have a range to calibrate",
                fix="keep the operator that reads it in float",
            )
        low, high = (end.to(torch.float32) for end in torch.aminmax(x))
        with torch.inference_mode(False):  # what is made in inference mode could not be read outside of it
            if self._ends is None:
                self._ends = low.clone(), high.clone()
            else:
                self._ends = torch.minimum(self._ends[0], low), torch.maximum(self._ends[1], high)

    def read(self) -> tuple[float, float]:
        """Minimum and maximum as numbers, NaN and infinity included; (inf, -inf) without values."""
        if self._ends is None:
            return float("inf"), float("-inf")
        low, high = torch.stack(self._ends).tolist()
        return low, high


class DeferredCounts:
    """Counts of values by their leading bits.

    Args:
        bins: number of bins on either side of zero in the final histogram.
        device: the device of all values.

    Attributes:
        ends: minimum and maximum of whole tensors.
    """

    def __init__(self, bins: int, device: torch.device) -> None:
        self.ends = DeferredEnds()
        self._bins, self._shift = bins, _MANTISSA - (bins.bit_length() - 2)
        self._side = 1 << (_MANTISSA + _EXPONENTS - self._shift)
        with torch.inference_mode(False):
            self._counts = torch.zeros(2 * self._side, dtype=torch.int64, device=device)

    def add(self, whole: Tensor, counted: Tensor, times: int) -> None:
        """Add the ends of the tensor ``whole``, and count each of its values in ``counted`` ``times`` times."""
        self.ends.add(whole)
        bits = counted.to(torch.float32).reshape(-1).view(torch.int32)
        magnitude = bits & _MAGNITUDE
        negative = (bits < 0) & (magnitude > 0)
        # a bin holds its lower edge: of negative values that is the larger magnitude
        place = (magnitude - negative.to(torch.int32)) >> self._shift
        index = place.to(torch.int64) + negative * self._side
        self._counts.index_add_(0, index, torch.full_like(index, times))

    def read(self, width: float) -> Tensor:
        """Counts in bins of the given width, ``[2 * bins]`` on the CPU; all values must be inside the bins."""
        counts = self._counts.cpu()
        found = torch.nonzero(counts).flatten()
        negative = found >= self._side
        bits = torch.where(negative, found - self._side, found) << self._shift
        number = torch.floor(bits.to(torch.int32).view(torch.float32).double() / width).long()
        bins = torch.where(negative, -number - 1, number) + self._bins
        return torch.zeros(2 * self._bins, dtype=torch.int64).index_add_(0, bins, counts[found])
