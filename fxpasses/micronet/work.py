"""Operations of one operator, counted as by the challenge's own counter.

| operator | multiplies | adds |
|---|---|---|
| convolution, linear: E outputs, each of L products | L E | (L - 1) E |
| bias, unmerged BatchNorm | | E |
| ReLU | E | |
| clamp at both ends (ReLU6) | 2 E | |
| sigmoid | 2 E | E |
| SiLU (swish) | 3 E | E |
| hard sigmoid, hard swish | 3 E, 4 E | E |
| average over k values | E | (k - 1) E |
| sum, product | , E | E, |

The challenge leaves open, and is counted here: max-pool as k - 1 comparisons (as entrants did), tanh 3 and 2, GELU
4 and 1, softmax 2 and 1, norms 3 and 4 for each value, a leaky or learned slope 2, a sign 1.

An operation is as wide as its widest input. Multiplying by -1 or +1 is one bit where the other operand is an IEEE
float, whose sign is a bit of its own; with a two's-complement integer it is as wide as that. Adds are as wide as the
accumulator. Conversions between formats that float32 holds exactly are free.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from .storage import FLOAT_BITS, Weight

PER_VALUE: dict[str, tuple[int, int]] = {
    "relu": (1, 0),
    "clip": (2, 0),
    "sigmoid": (2, 1),
    "silu": (3, 1),
    "hardsigmoid": (3, 1),
    "hardswish": (4, 1),
    "tanh": (3, 2),
    "gelu": (4, 1),
    "mish": (5, 2),
    "elu": (3, 1),
    "leaky_relu": (2, 0),
    "prelu": (2, 0),
    "sign": (1, 0),
    "softmax": (2, 1),
    "layer_norm": (3, 4),
    "group_norm": (3, 4),
    "add": (0, 1),
    "sub": (0, 1),
    "mul": (1, 0),
    "div": (1, 0),
    "batch_norm": (0, 1),
}
"""Multiplies and adds for each value of the output."""


@dataclass(frozen=True)
class Work:
    """Operations of one kind.

    Attributes:
        multiplies: their number; ``multiply_bits`` is their width.
        adds: their number; ``exact_bits`` is the accumulator that holds every sum exactly.
        macs: multiply-accumulates with nothing left out for zeros, for the course's score.
        operand_bits: width of the wider operand, if a multiply counts as less; 0: equal to ``multiply_bits``.
    """

    multiplies: int
    multiply_bits: int
    adds: int
    exact_bits: int = FLOAT_BITS
    macs: int = 0
    operand_bits: int = 0

    def multiply_ops(self, *, freebie: bool = False) -> Fraction:
        bits = min(self.multiply_bits, 16) if freebie else self.multiply_bits
        return Fraction(self.multiplies * bits, FLOAT_BITS)

    def add_ops(self, accumulator: str) -> Fraction:
        bits = self.exact_bits if accumulator == "exact" else min(int(accumulator), FLOAT_BITS)
        return Fraction(self.adds * bits, FLOAT_BITS)


def product_bits(weight_bits: int, value_bits: int, *, signs: bool, is_float: bool) -> int:
    """Width in bits of the multiply of a weight and a value."""
    return 1 if signs and is_float else max(weight_bits, value_bits)


def accumulator_bits(weight: Weight, value_bits: int, length: int, *, is_float: bool) -> int:
    """Width in bits of the narrowest accumulator that holds any sum of ``length`` products; 32 for float sums."""
    if is_float or weight.bits + value_bits >= FLOAT_BITS:
        return FLOAT_BITS
    product = value_bits if weight.signs else weight.bits + value_bits
    return min(FLOAT_BITS, product + max(length - 1, 0).bit_length())


def dot_products(weight: Weight, positions: int, value_bits: int, *, is_float: bool, bias: bool) -> Work:
    """Operations of a layer that computes every output at ``positions`` positions.

    Products with weights that a mask leaves out are not computed.
    """
    kept = weight.kept.flatten(1).sum(1).tolist()
    bits = product_bits(weight.bits, value_bits, signs=weight.signs, is_float=is_float)
    adds = sum(max(int(length) - 1, 0) for length in kept) + (len(kept) if bias else 0)
    longest = int(max(kept, default=0)) + bias
    return Work(
        int(sum(kept)) * positions,
        bits,
        adds * positions,
        accumulator_bits(weight, value_bits, longest, is_float=is_float),
        weight.kept.numel() * positions,
        max(weight.bits, value_bits),
    )


def pooled(outputs: int, window: int, bits: int, *, average: bool, is_float: bool) -> Work:
    """Operations of an average or maximum over windows."""
    if not average:
        return Work(outputs * (window - 1), bits, 0)
    exact = FLOAT_BITS if is_float else min(FLOAT_BITS, bits + math.ceil(math.log2(max(window, 1))))
    return Work(outputs, bits, outputs * (window - 1), exact)
