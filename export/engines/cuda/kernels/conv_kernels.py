# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, disallow-untyped-decorators=False
# mypy: disallow-untyped-calls=False
"""Convolutions in Triton: int8 x int8 -> int32 on tensor cores, and depthwise ones channel by channel.

Images are channels last, weights K-major: ``[C_out, kH, kW, C_in / groups]``, depthwise ones ``[kH, kW, C_out]``. All
tensors of bytes come as int8; unsigned ones are shifted by 128 as they are read, which the bias makes up for. A program
computes BM positions of BN channels of one group: ``acc + bias``, times the channel's multiplier, rounded and clipped;
then, if there is a residual, both are scaled, added, rounded and clipped once more, as the two operators would one
after the other. The type of multipliers and ratios is the one that is rounded in.

Positions behind the last are computed as the last one, and channels likewise, so that only stores need a mask. Their
channels are not held back at the last: neighbours in memory are written at once only if that can be seen. Places are
counted in 32 bits: callers hand over parts of larger batches.
"""

import triton
import triton.language as tl

from .rounding import levels, round_within


@triton.jit
def store_results(acc, y, residual, bias, multiplier, ratios, at, columns, mask, limits, RESIDUAL: tl.constexpr,
                  UNSIGNED_R: tl.constexpr, FLOATS: tl.constexpr):  # fmt: skip
    acc += tl.load(bias + columns)[None, :]
    scale = tl.load(multiplier + columns)[None, :]
    if FLOATS:
        tl.store(y + at, acc.to(tl.float32) * scale, mask=mask)
    else:
        q = round_within(acc.to(scale.dtype) * scale, tl.load(limits), tl.load(limits + 1))
        if RESIDUAL:
            other = levels(tl.load(residual + at, mask=mask, other=0), UNSIGNED_R) - tl.load(limits + 5)
            own, others = tl.load(ratios), tl.load(ratios + 1)
            steps = q.to(own.dtype) * own + other.to(own.dtype) * others
            q = round_within(steps, tl.load(limits + 3), tl.load(limits + 4))
        tl.store(y + at, (q + tl.load(limits + 2)).to(tl.int8), mask=mask)


_SIZES = ["M", "H", "W", "OH", "OW", "PH", "PW", "DH", "DW", "PAD"]
"""Names of integer arguments for whose values Triton does not specialize, so that no new value needs a compilation."""


@triton.jit(do_not_specialize=_SIZES)
def conv_gemm(x, weight, y, residual, bias, multiplier, ratios, limits, M, N, C, KH, KW, H, W, OH, OW, SH, SW, PH, PW,
              DH, DW, X_CHANNELS, Y_CHANNELS, PAD, UNSIGNED: tl.constexpr, UNSIGNED_R: tl.constexpr,
              RESIDUAL: tl.constexpr, FLOATS: tl.constexpr, PADDED: tl.constexpr, FEW: tl.constexpr,
              EVEN: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):  # fmt: skip
    """A convolution or linear layer as a matrix product whose left matrix is never stored.

    It runs over stretches of bytes that lie side by side: the channels of a tap; where there are ``FEW`` (their number,
    else 0), those of all taps of a row. ``EVEN``: a stretch is a whole number of slices of BK.
    """
    tiles_n = (N + BN - 1) // BN
    pid_m, pid_n, group = tl.program_id(0) // tiles_n, tl.program_id(0) % tiles_n, tl.program_id(1)
    rows, columns = pid_m * BM + tl.arange(0, BM), pid_n * BN + tl.arange(0, BN)
    row, column = tl.minimum(rows, M - 1), group * N + tl.minimum(columns, N - 1)
    top, left = row // OW % OH * SH - PH, row % OW * SW - PW
    base = (row // OW // OH * H * W + top * W + left) * (FEW if FEW else X_CHANNELS) + group * C
    taps_wide = 1 if FEW else KW
    stretch = KW * FEW if FEW else C
    slices = (stretch + BK - 1) // BK
    filters = column * (KH * taps_wide * stretch)
    acc = tl.full((BM, BN), 0, tl.int32)
    for step in range(0, KH * taps_wide * slices):
        tap, k = step // slices, step % slices * BK + tl.arange(0, BK)
        kh, kw = tap // taps_wide, tap % taps_wide
        here = (base + (kh * DH * W + kw * DW) * X_CHANNELS)[:, None] + k[None, :]
        there = filters[None, :] + (tap * stretch + k)[:, None]
        real = k < stretch
        inside = real[None, :]
        if PADDED:
            ih = top + kh * DH
            if FEW:
                iw = left[:, None] + (k // FEW)[None, :]
                inside = inside & ((ih >= 0) & (ih < H))[:, None] & (iw >= 0) & (iw < W)
            else:
                iw = left + kw * DW
                inside = ((ih >= 0) & (ih < H) & (iw >= 0) & (iw < W))[:, None]
                if not EVEN:
                    inside = inside & real[None, :]
        a = tl.load(x + here) if EVEN and not PADDED else tl.load(x + here, mask=inside, other=PAD)
        b = tl.load(weight + there) if EVEN else tl.load(weight + there, mask=real[:, None], other=0)
        if UNSIGNED:
            a = a ^ -128
        acc = tl.dot(a, b, acc, out_dtype=tl.int32)
    at = row[:, None] * Y_CHANNELS + (group * N + columns)[None, :]
    mask = (rows < M)[:, None] & (columns < N)[None, :]
    store_results(acc, y, residual, bias, multiplier, ratios, at, column, mask, limits, RESIDUAL, UNSIGNED_R, FLOATS)


@triton.jit(do_not_specialize=_SIZES)
def conv_depthwise(x, weight, y, residual, bias, multiplier, ratios, limits, M, N, C, KH, KW, H, W, OH, OW, SH, SW, PH,
                   PW, DH, DW, PAD, UNSIGNED: tl.constexpr, UNSIGNED_R: tl.constexpr, RESIDUAL: tl.constexpr,
                   ONE: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr):  # fmt: skip
    """A depthwise convolution: each of its ``N`` outputs reads one of ``C`` channels; its own if there is ``ONE`` for
    each.
    """
    tiles_n = (N + BN - 1) // BN
    rows = tl.program_id(0) // tiles_n * BM + tl.arange(0, BM)
    columns = tl.program_id(0) % tiles_n * BN + tl.arange(0, BN)
    row, column = tl.minimum(rows, M - 1), tl.minimum(columns, N - 1)
    top, left = row // OW % OH * SH - PH, row % OW * SW - PW
    real = (columns < N)[None, :]
    base = (
        x
        + (columns if ONE else column // (N // C))[None, :]
        + ((row // OW // OH * H * W + top * W + left) * C)[:, None]
    )
    acc = tl.full((BM, BN), 0, tl.int32)
    for tap in range(0, KH * KW):
        kh, kw = tap // KW, tap % KW
        ih, iw = top + kh * DH, left + kw * DW
        inside = ((ih >= 0) & (ih < H) & (iw >= 0) & (iw < W))[:, None]
        a = tl.load(base + (kh * DH * W + kw * DW) * C, mask=inside & real, other=PAD)
        if UNSIGNED:
            a = a ^ -128
        acc += a.to(tl.int32) * tl.load(weight + tap * N + columns[None, :], mask=real, other=0).to(tl.int32)
    at = row[:, None] * N + columns[None, :]
    mask = (rows < M)[:, None] & (columns < N)[None, :]
    store_results(acc, y, residual, bias, multiplier, ratios, at, column, mask, limits, RESIDUAL, UNSIGNED_R, False)
