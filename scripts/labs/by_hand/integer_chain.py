"""Inference with integers alone: a chain of layers in numpy, with int32 sums and shifts for rounding.

A layer computes ``acc = sum (q_x - z_x) q_w + bias`` in int32. Its result ``acc * m``, m = s_x s_w / s_y, is taken with
a whole multiplier M, nearly m * 2^shift, in int64:

    q_y = clip(((acc * M) >> shift) + z_y, low, high)        a shift rounds down
    q_y = clip(((acc * M + 2^(shift - 1)) >> shift) + z_y, low, high)        half a step first: to nearest

With shift 16, as courses have it, a small m keeps few digits. With M of 31 bits the result is that of exact arithmetic
wherever no ``acc * m`` lies within 2^-20 or so of a tie, which the toolkit's tie-free scales see to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]
Wide = npt.NDArray[np.int64]
MULTIPLIER_BITS = 31


@dataclass(frozen=True)
class Grid:
    """The integers a tensor is mapped to: ``x ~ (q - zero) * scale``, q from ``low`` to ``high``."""

    scale: float
    zero: int
    low: int
    high: int

    def integers(self, x: Floats) -> Integers:
        """Map to integers: rounded to nearest, ties to even, and clipped."""
        q = np.round(x / np.float32(self.scale)) + self.zero
        integers: Integers = np.clip(q, self.low, self.high).astype(np.int32)
        return integers


@dataclass(frozen=True)
class Requantization:
    """Requantization ``acc * m`` by multiplier and shift; ``multiplier`` and ``shift`` are ``[C_out]`` or numbers."""

    multiplier: Wide
    shift: Wide
    rounds: bool
    y: Grid

    def __call__(self, acc: Integers) -> Integers:
        """Output integers of sums ``[..., C_out]``."""
        half = np.left_shift(1, self.shift - 1) if self.rounds else 0
        steps = np.right_shift(acc.astype(np.int64) * self.multiplier + half, self.shift)
        integers: Integers = np.clip(steps + self.y.zero, self.y.low, self.y.high).astype(np.int32)
        return integers


def by_course_shift(m: npt.ArrayLike, y: Grid, shift: int = 16) -> Requantization:
    """Requantization with M = round(m * 2^16), and a shift by 16 that rounds down."""
    multiplier = np.round(np.asarray(m, np.float64) * 2**shift).astype(np.int64)
    return Requantization(multiplier, np.asarray(shift, np.int64), False, y)


def by_long_multiplier(m: npt.ArrayLike, y: Grid) -> Requantization:
    """Requantization to nearest, with M of 31 bits and its shift."""
    values = np.asarray(m, np.float64)
    shift = (MULTIPLIER_BITS - 1 - np.floor(np.log2(values))).astype(np.int64)
    return Requantization(np.round(np.ldexp(values, shift.astype(np.int32))).astype(np.int64), shift, True, y)


@dataclass(frozen=True)
class Layer:
    """A convolution (weight ``[C_out, C_in, kH, kW]``) or linear layer (``[C_out, C_in]``) on integers.

    ``requantize`` makes output integers from its sums; if it is None, the sums times ``scale`` are the net's result.
    """

    name: str
    weight: Integers
    bias: Integers
    x: Grid
    requantize: Requantization | None
    scale: Floats | None = None
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)

    def sums(self, q: Integers) -> Integers:
        """Sums int32 ``[B, H, W, C_out]`` or ``[B, C_out]``; the padding is the zero point."""
        centred = q - np.int32(self.x.zero)
        rows = centred if self.weight.ndim == 2 else _patches(centred, self.weight.shape[2:], self.stride, self.padding)
        sums: Integers = rows @ self.weight.reshape(len(self.weight), -1).T + self.bias
        return sums

    def __call__(self, q: Integers) -> Integers:
        assert self.requantize is not None
        y = self.requantize(self.sums(q))
        return y if self.weight.ndim == 2 else np.ascontiguousarray(y.transpose(0, 3, 1, 2))


def _patches(x: Integers, kernel: Sequence[int], stride: tuple[int, int], padding: tuple[int, int]) -> Integers:
    """Patches of the input, one for each position of a kernel: ``[B, H, W, C_in * kH * kW]``."""
    padded = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    windows: Any = np.lib.stride_tricks.sliding_window_view(padded, tuple(kernel), axis=(2, 3))
    windows = windows[:, :, :: stride[0], :: stride[1]].transpose(0, 2, 3, 1, 4, 5)
    return np.ascontiguousarray(windows).reshape(*windows.shape[:3], -1)


@dataclass(frozen=True)
class MaxPool:
    """Largest integer of each window; windows do not overlap."""

    name: str
    size: int

    def __call__(self, q: Integers) -> Integers:
        batch, channels, height, width = q.shape
        rows, columns = height // self.size, width // self.size
        cut = q[:, :, : rows * self.size, : columns * self.size]
        return np.asarray(cut.reshape(batch, channels, rows, self.size, columns, self.size).max((3, 5)))


@dataclass(frozen=True)
class Flatten:
    """Flatten ``[B, C, H, W]`` to ``[B, C * H * W]``."""

    name: str

    def __call__(self, q: Integers) -> Integers:
        return q.reshape(len(q), -1)


Step = Layer | MaxPool | Flatten


@dataclass(frozen=True)
class IntegerNet:
    """A chain of steps after the input's grid; the last step is a layer whose sums are the result."""

    x: Grid
    steps: tuple[Step, ...]

    def __call__(self, x: Floats) -> Floats:
        """Compute the logits: the last sums times their scales."""
        return self.tensors(x)[1]

    def tensors(self, x: Floats) -> tuple[dict[str, Integers], Floats]:
        """Compute every integer tensor by the name of its step, and the logits."""
        q = self.x.integers(x)
        found: dict[str, Integers] = {}
        for step in self.steps[:-1]:
            q = found[step.name] = step(q)
        last = self.steps[-1]
        assert isinstance(last, Layer) and last.scale is not None
        return found, last.sums(q).astype(np.float32) * last.scale


def bytes_of(net: IntegerNet) -> int:
    """Size of a net with weights of one byte and biases of four."""
    layers = [step for step in net.steps if isinstance(step, Layer)]
    return sum(layer.weight.size + 4 * layer.bias.size for layer in layers)


def bits_needed(net: IntegerNet, q: Floats) -> int:
    """Bits of the widest sum of any layer on these inputs, with its sign; with more than 32, int32 would overflow."""
    integers, widest = net.x.integers(q), 0
    for step in net.steps:
        if isinstance(step, Layer):
            widest = max(widest, int(np.abs(step.sums(integers)).max()))
            if step.requantize is None:
                break
        integers = step(integers)
    return math.ceil(math.log2(widest + 1)) + 1
