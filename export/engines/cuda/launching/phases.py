"""Phases of convolutions of three dimensions: outputs that read the same taps, at positions shifted alike.

An output ``o`` of a transposed convolution reads input ``i`` by tap ``k`` where ``o = i * stride - padding +
k * dilation``. So outputs that are equal modulo the stride read the same taps; they are a phase, and an ordinary
convolution of stride 1. An ordinary convolution is a single phase. All numbers here are exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

Sizes = tuple[int, int, int]


@dataclass(frozen=True)
class AxisPhase:
    """A phase along one dimension.

    Attributes:
        first: its first output.
        taps: indices into the kernel, in the order of the input positions that they read.
        position: the input position that the first tap reads for the first output.
    """

    first: int
    taps: tuple[int, ...]
    position: int


@dataclass(frozen=True)
class Axis:
    """One dimension of a convolution: size of the kernel, stride, padding, dilation, and outputs added at the end."""

    size: int = 1
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    more: int = 0

    def phases(self, *, transposed: bool) -> list[AxisPhase]:
        if not transposed:
            return [AxisPhase(0, tuple(range(self.size)), -self.padding)]
        return [self._phase(first) for first in range(self.stride)]

    def _phase(self, first: int) -> AxisPhase:
        ahead = {tap: first + self.padding - tap * self.dilation for tap in reversed(range(self.size))}
        read = {tap: distance // self.stride for tap, distance in ahead.items() if distance % self.stride == 0}
        return AxisPhase(first, tuple(read), next(iter(read.values()), 0))

    def output(self, size: int, *, transposed: bool) -> int:
        reach = self.dilation * (self.size - 1) + 1
        if transposed:
            return (size - 1) * self.stride - 2 * self.padding + reach + self.more
        return (size + 2 * self.padding - reach) // self.stride + 1


@dataclass(frozen=True)
class Volumes:
    """A convolution over depth, height and width, transposed or not; fewer dimensions are led by some of size 1."""

    axes: tuple[Axis, Axis, Axis]
    transposed: bool

    @property
    def phases(self) -> list[tuple[AxisPhase, ...]]:
        return list(product(*(axis.phases(transposed=self.transposed) for axis in self.axes)))

    @property
    def steps(self) -> Sizes:
        """Input positions between the outputs of a phase."""
        return _three(1 if self.transposed else axis.stride for axis in self.axes)

    @property
    def spacing(self) -> Sizes:
        """Input positions between the taps of a phase."""
        return _three(
            axis.dilation // math.gcd(axis.stride, axis.dilation) if self.transposed else axis.dilation
            for axis in self.axes
        )

    @property
    def spread(self) -> Sizes:
        """Outputs from one output of a phase to the next."""
        return _three(axis.stride if self.transposed else 1 for axis in self.axes)

    def output_size(self, sizes: Sequence[int]) -> Sizes:
        pairs = zip(self.axes, sizes, strict=True)
        return _three(axis.output(size, transposed=self.transposed) for axis, size in pairs)


def _three(sizes: Iterable[int]) -> Sizes:
    depth, height, width = sizes
    return depth, height, width
