"""Scales with which no result can be a rounding tie, so that all engines round to the same integer.

An int8 kernel computes an exact integer ``acc`` and rounds ``acc * m`` with ``m = s_x * s_w / s_y``. Engines differ in
how they multiply (float32 in another order, fixed point, after adding the bias as a float), so where ``acc * m`` lies
within their error of ``k + 1/2`` they round to different integers. Let ``m = p / q`` with integers and ``q`` odd:
``2 * acc * p`` is even and ``(2k + 1) * q`` odd, so a tie cannot happen, and the distance to the nearest one is at
least ``1 / (2q)``. With q at most :data:`LARGEST_Q` this distance is several times the error of any engine, so every
engine, in any order of operations, gives the integers of exact arithmetic.

- Layers: each output channel's weight scale moves to the nearest such fraction (about 0.1 %).
- add, cat: all joined tensors get scales ``s = n * u`` with odd ``n`` (one lattice); each ratio is then ``n_x / n_y``.
- averages, mul, matmul: the output's scale moves.
- elementwise functions: all 256 results are computed, and the output's scale moves until none is near a tie.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction

import torch
from torch import Tensor

from .qparams import as_float32

LARGEST_Q = 1023
"""Largest odd denominator that is tried first; ties are then at least 1/2046 of an output step away."""

MARGIN = 2.0**-13
"""Distance from a tie, in output steps, that counts as proof.

Float32 engines round five times at values below 512 (two operands of at most 255 steps); each rounding changes the
value by at most 2**-16 steps.
"""

LARGEST_RESULT = 256
"""Largest result in output steps that counts; results further from zero saturate in every 8-bit type."""

SMALLEST_PROVABLE = 1 / 3501
"""Smallest multiplier that has a margin.

A multiplier 1/q leaves 1/(2q) to the nearest tie, minus the effect of rounding its scales to float32 on the largest
result (256 * 2**-24). Below this multiplier the rest is less than :data:`MARGIN`. Exact recipes raise the weight scales
of nearly dead channels up to this limit.
"""

_NUDGES = 64
_LATTICE_SMALLEST, _LATTICE_LARGEST = 33, 511


def tie_free_multipliers(multipliers: Tensor, largest_q: int = LARGEST_Q) -> tuple[Tensor, Tensor]:
    """The nearest p/q with odd q for each multiplier.

    Args:
        multipliers: ``[C]`` float64, positive.
        largest_q: odd bound of q; smaller multipliers get p of 1 or 2 and a larger q.

    Returns:
        ``p / q`` as float64 ``[C]`` and ``q`` as int64 ``[C]``.
    """
    smallest = torch.clamp(1.0 / multipliers, min=largest_q // 2)
    steps = torch.arange(0, largest_q // 2, 2, dtype=torch.float64)
    q = 2 * torch.floor(smallest / 2)[:, None] + 1 + steps
    p = torch.clamp(torch.round(multipliers[:, None] * q), min=1.0)
    error = (p / q / multipliers[:, None] - 1).abs()
    best = error.argmin(dim=1, keepdim=True)
    chosen = q.gather(1, best)[:, 0]
    return p.gather(1, best)[:, 0] / chosen, chosen.long()


def tie_free_multiplier(multiplier: float) -> float:
    """The nearest p/q with odd q for one multiplier."""
    return float(tie_free_multipliers(torch.tensor([multiplier], dtype=torch.float64))[0][0])


def lattice(scales: Iterable[float], caps: Iterable[float], fixed: Iterable[bool]) -> list[float] | None:
    """Odd multiples of one unit near all given scales, for tensors that add or cat join.

    Args:
        scales: the scales wanted.
        caps: the largest value of each scale (infinity if free).
        fixed: whether each scale must not change.

    Returns:
        The new scales in order, or None if no lattice contains all fixed ones.
    """
    wanted, limits, pinned = list(scales), list(caps), list(fixed)
    smallest, spread = min(wanted), max(wanted) / min(wanted)
    n = int(max(_LATTICE_SMALLEST, min(_LATTICE_LARGEST, LARGEST_Q // spread)))
    anchors = {s for s, pin in zip(wanted, pinned, strict=True) if pin}
    if len(anchors) > 1:
        return None
    unit = _few_bits(smallest / n)
    if anchors:
        anchor = anchors.pop()
        unit = anchor / _nearest_odd(anchor / unit)
    moved = []
    for scale, cap, pin in zip(wanted, limits, pinned, strict=True):
        odd = _nearest_odd(scale / unit)
        while odd * unit > cap and odd > 1:
            odd -= 2
        moved.append(scale if pin else as_float32(odd * unit))
    return moved


def _nearest_odd(value: float) -> int:
    return max(1, 2 * round((value - 1) / 2) + 1)


def _few_bits(value: float, bits: int = 11) -> float:
    """Round ``value`` to a short mantissa, so that its multiples up to 2**12 are exact in float32."""
    mantissa, exponent = math.frexp(value)
    return math.ldexp(round(mantissa * 2**bits), exponent - bits)


def distance_to_tie(values: Tensor) -> Tensor:
    """Distance of each value from the nearest ``k + 1/2``."""
    return (values - torch.floor(values) - 0.5).abs()


def tie_free_table_scale(values: Tensor, scale: float) -> float | None:
    """A scale near ``scale`` at which no value divided by it is near a tie; None if none is found.

    Args:
        values: float64, every value the tensor can have.
        scale: the scale wanted.
    """
    nudges = torch.arange(_NUDGES, dtype=torch.float64)
    nudges = torch.where(nudges % 2 == 0, nudges, -nudges - 1) / 2 * 2.0**-13
    for nudge in nudges.tolist():
        candidate = as_float32(scale * (1 + nudge))
        steps = values / candidate
        if bool((distance_to_tie(steps) > 2 * MARGIN).all()):
            return candidate
    return None


def smallest_margin(multipliers: Tensor, largest_q: int = 2**14) -> float:
    """A lower bound of the distance from a tie of ``acc * m`` for any integer ``acc``, 0 if there is no proof.

    Each multiplier (``[C]`` float64, carrying the float32 rounding of its scales) is replaced by the simplest fraction
    within 2**-22 of it; an odd denominator q gives 1/(2q), minus the effect of the difference on the largest result.
    Results that saturate do not count.
    """
    worst = 0.5
    for multiplier in multipliers.tolist():
        fraction = simplest_fraction(multiplier, 2.0**-22)
        if fraction.denominator % 2 == 0 or fraction.denominator > largest_q:
            return 0.0
        moved = LARGEST_RESULT * abs(1 - float(fraction) / multiplier)
        worst = min(worst, max(0.0, 0.5 / fraction.denominator - moved))
    return worst


def simplest_fraction(value: float, relative: float) -> Fraction:
    """The fraction with the smallest denominator within a relative distance of a value (Stern-Brocot)."""
    exact = Fraction(value)
    low, high = exact * Fraction(1 - relative), exact * Fraction(1 + relative)
    a, b, c, d = 0, 1, 1, 0
    while True:
        floor = math.floor(low)
        if floor == low or floor + 1 <= high:
            whole = floor if floor == low else floor + 1
            return Fraction(a + whole * c, b + whole * d)
        low, high = 1 / (high - floor), 1 / (low - floor)
        a, b, c, d = c, d, a + floor * c, b + floor * d
