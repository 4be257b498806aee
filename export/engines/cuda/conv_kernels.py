# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, disallow-untyped-decorators=False
# mypy: disallow-untyped-calls=False
"""Convolutions in Triton: int8 x int8 -> int32 on tensor cores, and depthwise ones channel by channel.

Images are channels last, weights K-major: ``[C_out, kH, kW, C_in / groups]``, depthwise ones ``[kH, kW, C_out]``. All
tensors of bytes come as int8; unsigned ones are shifted by 128 as they are read, which the bias makes up for. A program
computes BM positions of BN channels of one group: ``acc + bias``, times the channel's multiplier, rounded and clipped;
then, if there is a residual, both are scaled, added, rounded and clipped once more, as the two operators would one
after the other. ``WIDE`` rounds in float64.

Positions behind the last are computed as the last one, and channels likewise, so that only stores need a mask.
"""

import triton
import triton.language as tl

from .rounding import levels, round_within


@triton.jit
def _store(acc, y, residual, bias, multiplier, ratios, at, columns, mask, limits, RESIDUAL: tl.constexpr,
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


@triton.jit
def conv_gemm(x, weight, y, residual, bias, multiplier, ratios, limits, M, N, C, KH, KW, H, W, OH, OW, SH, SW, PH, PW,
              DH, DW, X_CHANNELS, Y_CHANNELS, PAD, UNSIGNED: tl.constexpr, UNSIGNED_R: tl.constexpr,
              RESIDUAL: tl.constexpr, FLOATS: tl.constexpr, PADDED: tl.constexpr, FLAT: tl.constexpr,
              EVEN: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):  # fmt: skip
    """A convolution or linear layer as a matrix product whose left side is never written.

    ``FLAT`` runs over taps and channels as one dimension: for few channels. Else each tap is a slice of its own.
    """
    tiles_n = tl.cdiv(N, BN)
    pid_m, pid_n, group = tl.program_id(0) // tiles_n, tl.program_id(0) % tiles_n, tl.program_id(1)
    rows, columns = pid_m * BM + tl.arange(0, BM), pid_n * BN + tl.arange(0, BN)
    row, column = tl.minimum(rows, M - 1), group * N + tl.minimum(columns, N - 1)
    top, left = row // OW % OH * SH - PH, row % OW * SW - PW
    image = (row // OW // OH).to(tl.int64) * H * W
    base = x + group * C + (image + top * W + left) * X_CHANNELS
    filters = weight + column.to(tl.int64) * (KH * KW * C)
    acc = tl.full((BM, BN), 0, tl.int32)
    if FLAT:
        for start in range(0, KH * KW * C, BK):
            k = start + tl.arange(0, BK)
            real = k < KH * KW * C
            kh, kw = k // C // KW, k // C % KW
            inside = real[None, :]
            if PADDED:
                ih, iw = top[:, None] + (kh * DH)[None, :], left[:, None] + (kw * DW)[None, :]
                inside = inside & (ih >= 0) & (ih < H) & (iw >= 0) & (iw < W)
            a = tl.load(base[:, None] + ((kh * DH * W + kw * DW) * X_CHANNELS + k % C)[None, :], mask=inside, other=PAD)
            b = tl.load(filters[None, :] + k[:, None], mask=real[:, None], other=0)
            if UNSIGNED:
                a = a ^ -128
            acc = tl.dot(a, b, acc, out_dtype=tl.int32)
    else:
        slices = tl.cdiv(C, BK)
        for step in range(0, KH * KW * slices):
            tap, c = step // slices, step % slices * BK + tl.arange(0, BK)
            kh, kw = tap // KW, tap % KW
            here = base[:, None] + ((kh * DH * W + kw * DW) * X_CHANNELS + c)[None, :]
            there = filters[None, :] + (tap * C + c)[:, None]
            ih, iw = top + kh * DH, left + kw * DW
            inside = ((ih >= 0) & (ih < H) & (iw >= 0) & (iw < W))[:, None]
            if EVEN:
                a = tl.load(here, mask=inside, other=PAD) if PADDED else tl.load(here)
                b = tl.load(there)
            else:
                real = c < C
                a = tl.load(here, mask=(inside & real[None, :]) if PADDED else real[None, :], other=PAD)
                b = tl.load(there, mask=real[:, None], other=0)
            if UNSIGNED:
                a = a ^ -128
            acc = tl.dot(a, b, acc, out_dtype=tl.int32)
    at = row.to(tl.int64)[:, None] * Y_CHANNELS + column[None, :]
    mask = (rows < M)[:, None] & (columns < N)[None, :]
    _store(acc, y, residual, bias, multiplier, ratios, at, column, mask, limits, RESIDUAL, UNSIGNED_R, FLOATS)


@triton.jit
def conv_depthwise(x, weight, y, residual, bias, multiplier, ratios, limits, M, N, C, KH, KW, H, W, OH, OW, SH, SW, PH,
                   PW, DH, DW, PAD, UNSIGNED: tl.constexpr, UNSIGNED_R: tl.constexpr, RESIDUAL: tl.constexpr,
                   BM: tl.constexpr, BN: tl.constexpr):  # fmt: skip
    """A convolution each of whose ``N`` outputs reads one of ``C`` channels."""
    tiles_n = tl.cdiv(N, BN)
    rows = tl.program_id(0) // tiles_n * BM + tl.arange(0, BM)
    columns = tl.program_id(0) % tiles_n * BN + tl.arange(0, BN)
    row, column = tl.minimum(rows, M - 1), tl.minimum(columns, N - 1)
    top, left = row // OW % OH * SH - PH, row % OW * SW - PW
    image = (row // OW // OH).to(tl.int64) * H * W
    base = x + (column // (N // C))[None, :] + ((image + top * W + left) * C)[:, None]
    acc = tl.full((BM, BN), 0, tl.int32)
    for tap in range(0, KH * KW):
        kh, kw = tap // KW, tap % KW
        ih, iw = top + kh * DH, left + kw * DW
        inside = ((ih >= 0) & (ih < H) & (iw >= 0) & (iw < W))[:, None]
        a = tl.load(base + (kh * DH * W + kw * DW) * C, mask=inside, other=PAD)
        if UNSIGNED:
            a = a ^ -128
        acc += a.to(tl.int32) * tl.load(weight + tap * N + column)[None, :].to(tl.int32)
    at = row.to(tl.int64)[:, None] * N + column[None, :]
    mask = (rows < M)[:, None] & (columns < N)[None, :]
    _store(acc, y, residual, bias, multiplier, ratios, at, column, mask, limits, RESIDUAL, UNSIGNED_R, False)
