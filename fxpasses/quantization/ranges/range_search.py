"""Search the range of a histogram with the least error from rounding inside and clipping outside.

The cost of a range is ``sum_x |x - dequantize(quantize(x))| ** norm``, with the mass of each bin spread evenly over
it. That integral has a closed form. Let ``u = x / scale``, ``k`` the level that x is rounded or clipped to, and
``r = u - k``; then

    F(x) = scale ** (norm + 1) / (norm + 1) * (k * 2 * 0.5 ** (norm + 1) + sign(r) * |r| ** (norm + 1))

is the integral of the cost from 0 to x, on the grid (|r| <= 0.5, after k full cells) and beyond it (k stays, r
grows). A bin costs ``count * (F(right) - F(left)) / (right - left)``: exact for any norm and any ratio of bin width
to scale.

Sources: norm 2 is MSE (Nagel et al. 2021, "A White Paper on Neural Network Quantization", arXiv:2106.08295, section
3.1); other norms: Nahshan et al. 2021, "Loss aware post-training quantization", arXiv:1911.07190. Entropy: Migacz 2017,
"8-bit inference with TensorRT".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ...errors import InputError
from ..numbers.qparams import SMALLEST_SCALE, IntType, QParams, affine_qparams, symmetric_qparams
from ..numbers.weight_groups import grouped_scales
from .histogram import Histogram

Range = tuple[float, float]

_COARSE = [2.0 ** (-k / 8) for k in range(65)]
"""Fractions of the full range that are tried first: 1 down to 1/256 in steps of 8 %."""
_FINE = [2.0 ** (k / 64) for k in range(8, -9, -1)]
"""Multiples of the best range so far that are tried next: one coarse step up or down, in steps of 1 %."""
_ROUNDS = 3
"""Largest number of times that each end is searched with the other end held."""
_ENTROPY_STEPS = 96
_WEIGHT_FRACTIONS = [k / 64 for k in range(63, 31, -1)]
"""Fractions of a channel's largest weight tried as its range; at 7 or 8 bits a fraction below a half was never best."""
_DEAD = 2.0**-20
"""Largest weight of a dead channel, as a fraction of the layer's largest weight; int8 cannot represent less."""


def qparams_of(span: Range, grid: IntType, *, symmetric: bool) -> QParams:
    return symmetric_qparams(*span, grid) if symmetric else affine_qparams(*span, grid)


def quantization_error(histogram: Histogram, candidates: Sequence[QParams], norm: float = 2.0) -> Tensor:
    """Mean of ``|x - dequantize(quantize(x))| ** norm`` over the measured distribution, for each candidate: [K]."""
    scale, lowest, highest = _columns(candidates)
    edges = histogram.edges
    u = edges / scale
    k = u.round().clamp_(lowest, highest)
    r = u.sub_(k)
    power = norm + 1
    integral = k.mul_(2 * 0.5**power).add_(r.sign().mul_(r.abs().pow_(power)))
    density = histogram.counts / (edges[1:] - edges[:-1])
    summed: Tensor = integral.diff(dim=1) @ density
    return summed * scale.squeeze(1).pow(power) / (power * histogram.total)


def _columns(candidates: Sequence[QParams]) -> tuple[Tensor, Tensor, Tensor]:
    """Scale, and first and last level counted from zero: each [K, 1] float64."""
    rows = [(q.scale, q.grid.low - q.zero_point, q.grid.high - q.zero_point) for q in candidates]
    scale, lowest, highest = torch.tensor(rows, dtype=torch.float64).unsqueeze(2).unbind(1)
    return scale, lowest, highest


def least_error_range(histogram: Histogram, grid: IntType, *, symmetric: bool = False, norm: float = 2.0) -> Range:
    """The range with the least error for the measured distribution; never worse than the exact minimum and maximum.

    A symmetric range has one magnitude. For an affine range both ends are reduced together first, then each in turn
    while the other is held. An end at zero stays there, so the output of a ReLU keeps zero point 0 (with unsigned
    integers).
    """

    def cheapest(spans: list[Range]) -> Range:
        errors = quantization_error(histogram, [qparams_of(s, grid, symmetric=symmetric) for s in spans], norm)
        return spans[min(range(len(spans)), key=errors.tolist().__getitem__)]

    low, high = min(histogram.low, 0.0), max(histogram.high, 0.0)
    if symmetric:
        low, high = -max(-low, high), max(-low, high)
    full = (low, high)
    best = _shrink(full, full, lambda span, f: (span[0] * f, span[1] * f), cheapest)
    if symmetric or low == 0.0 or high == 0.0:
        return best
    for _ in range(_ROUNDS):
        before = best
        best = _shrink(best, full, lambda span, f: (span[0], span[1] * f), cheapest)
        best = _shrink(best, full, lambda span, f: (span[0] * f, span[1]), cheapest)
        if best == before:
            break
    return best


def _shrink(
    best: Range, full: Range, scaled: Callable[[Range, float], Range], cheapest: Callable[[list[Range]], Range]
) -> Range:
    """The best of the best range so far and its multiples, coarse then fine; never outside the full range."""

    def within(span: Range) -> Range:
        return max(span[0], full[0]), min(span[1], full[1])

    for fractions in (_COARSE, _FINE):
        best = cheapest([best, *(within(scaled(best, f)) for f in fractions)])
    return best


def percentile_range(histogram: Histogram, percentile: float, *, symmetric: bool = False) -> Range:
    """The range that at most ``100 - percentile`` per cent of the values exceed at each end."""
    fraction = percentile / 100
    if symmetric:
        peak = histogram.folded().quantile(fraction)
        return -peak, peak
    return min(histogram.quantile(1 - fraction), 0.0), max(histogram.quantile(fraction), 0.0)


def least_entropy_range(histogram: Histogram, grid: IntType, *, symmetric: bool = False) -> Range:
    """The clipping whose quantized distribution has the least Kullback-Leibler divergence from the clipped one.

    Ranges ``[max(low, -t), min(high, t)]`` are tried for thresholds t with at least one bin for each level, up to the
    largest magnitude. With zero points the levels span the clipped range, so signed data need not be centred. The
    divergence depends on the distribution of the values and not on their size: for a tensor that is mostly zeros it
    would keep only the zeros. So ranges with a larger mean square error than without clipping are not taken.
    """
    low, high = min(histogram.low, 0.0), max(histogram.high, 0.0)
    peak = max(-low, high)
    if peak == 0.0:
        return low, high
    width = float(histogram.edges.diff().max())
    least = min(width * grid.levels / (2 if symmetric or low < 0 < high else 1), peak)
    ratio = (least / peak) ** (1 / _ENTROPY_STEPS)
    thresholds = [peak * ratio**k for k in range(_ENTROPY_STEPS + 1)]
    spans = [(-t, t) if symmetric else (max(low, -t), min(high, t)) for t in thresholds]
    candidates = [qparams_of(s, grid, symmetric=symmetric) for s in spans]
    errors = quantization_error(histogram, candidates)
    divergences = _divergences(histogram, candidates).masked_fill(errors > errors[0], torch.inf).tolist()
    return spans[min(range(len(spans)), key=divergences.__getitem__)]


def _divergences(histogram: Histogram, candidates: Sequence[QParams]) -> Tensor:
    """KL(P || Q) for each of K candidates.

    P is the clipped distribution, with the clipped mass added to its end bins; Q is the mass inside, spread over the
    occupied bins of P in each level.
    """
    counts = histogram.counts
    scale, lowest, highest = _columns(candidates)
    number = (histogram.centers / scale).round()  # [K, B]
    below, above = number < lowest, number > highest
    inside = ~(below | above)
    kept = counts * inside
    first, last = inside.int().argmax(1, keepdim=True), len(counts) - 1 - inside.flip(1).int().argmax(1, keepdim=True)
    reference = kept.scatter_add(1, first, (counts * below).sum(1, keepdim=True))
    reference.scatter_add_(1, last, (counts * above).sum(1, keepdim=True))
    occupied = reference > 0
    level = (torch.minimum(torch.maximum(number, lowest), highest) - lowest).long()
    per_level = torch.zeros(len(candidates), candidates[0].grid.levels + 1, dtype=torch.float64)
    share = per_level.scatter_add(1, level, kept) / per_level.scatter_add(1, level, occupied.double()).clamp(min=1)
    spread = share.gather(1, level) * occupied
    p = reference / histogram.total
    # An end bin with clipped mass only has no mass in Q: its cost is computed as if it had one count there.
    q = (spread / spread.sum(1, keepdim=True).clamp(min=1)).clamp(min=1 / histogram.total)
    return torch.xlogy(p, p / q).sum(1)


def weight_scales(
    weight: Tensor,
    axis: int,
    grid: IntType,
    search: str = "minmax",
    norm: float = 2.0,
    groups: tuple[int, int] | None = None,
) -> Tensor:
    """Symmetric scales of a weight, one for each index of ``axis``: float32 ``[C]``, all positive.

    A dead channel (all weights zero or negligible) gets the median scale of the others, so that its bias, an integer in
    steps of ``s_x * s_w``, stays in range; a layer of zeros gets 1.

    Args:
        search: ``"minmax"``, or ``"mse"`` for the least ``sum |error| ** norm`` of each channel.
        groups: number of weights in a group and the largest multiple of its step; the scale then always has the least
            squared error. None: no groups.

    Raises:
        InputError: an unknown search, or a weight that holds NaN or infinity.
    """
    if search not in ("minmax", "mse"):
        raise InputError(f"weight search {search!r}", why="there is no such search", fix="use 'minmax' or 'mse'")
    rows = weight.detach().float().movedim(axis, 0).flatten(1)
    peak = rows.abs().amax(1)
    if not bool(torch.isfinite(peak).all()):
        raise InputError("a weight", why="it holds NaN or infinity", fix="load weights whose float model works")
    alive = peak > max(float(peak.max()) * _DEAD, SMALLEST_SCALE * grid.high)
    if not bool(alive.any()):
        return torch.ones_like(peak)
    scale = peak / grid.high
    if groups is not None:
        scale = grouped_scales(rows, grid, *groups)
    elif search == "mse":
        scale = _least_error_scales(rows, scale, grid, norm)
    return torch.where(alive, scale, scale[alive].median())


def _least_error_scales(rows: Tensor, full: Tensor, grid: IntType, norm: float) -> Tensor:
    """The fraction of each row's full scale with the least error; of equal ones the wider."""
    full = full.clamp(min=SMALLEST_SCALE)
    best, least = full, _row_errors(rows, full, grid, norm)
    for fraction in _WEIGHT_FRACTIONS:
        scale = full * fraction
        error = _row_errors(rows, scale, grid, norm)
        best = torch.where(error < least, scale, best)
        least = torch.minimum(error, least)
    return best


def _row_errors(rows: Tensor, scale: Tensor, grid: IntType, norm: float) -> Tensor:
    s = scale.unsqueeze(1)
    quantized = (rows / s).round_().clamp_(grid.low, grid.high).mul_(s)
    return quantized.sub_(rows).abs_().pow_(norm).sum(1)
