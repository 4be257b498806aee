# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, disallow-untyped-decorators=False
# mypy: disallow-untyped-calls=False
"""Triton kernels for operators that are no layers: sums, products, tables, pools, changes of grid, and quantization.

All tensors of a call are dense and in the same order of dimensions; any order gives the same results. ``limits`` holds
the smallest and largest result without the zero point, the output's zero point, and the zero points of the inputs.
"""

import triton
import triton.language as tl

from .rounding import levels, round_within


@triton.jit
def add_bytes(a, b, y, ratios, limits, COUNT, UNSIGNED: tl.constexpr, BLOCK: tl.constexpr):
    """``a * ratios[0] + b * ratios[1]``, rounded once."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = at < COUNT
    first, second = tl.load(ratios), tl.load(ratios + 1)
    left = levels(tl.load(a + at, mask=mask, other=0), UNSIGNED) - tl.load(limits + 3)
    right = levels(tl.load(b + at, mask=mask, other=0), UNSIGNED) - tl.load(limits + 4)
    q = round_within(
        left.to(first.dtype) * first + right.to(first.dtype) * second, tl.load(limits), tl.load(limits + 1)
    )
    tl.store(y + at, (q + tl.load(limits + 2)).to(tl.int8), mask=mask)


@triton.jit
def multiply_bytes(a, b, y, ratios, limits, COUNT, CHANNELS, AREA, PER_CHANNEL: tl.constexpr,
                   UNSIGNED: tl.constexpr, BLOCK: tl.constexpr):  # fmt: skip
    """``a * b * ratios[0]``, rounded once; ``b`` is of the same shape, or one value for each image and channel."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = at < COUNT
    there = at
    if PER_CHANNEL:
        there = at // (CHANNELS * AREA) * CHANNELS + at % CHANNELS
    ratio = tl.load(ratios)
    left = levels(tl.load(a + at, mask=mask, other=0), UNSIGNED) - tl.load(limits + 3)
    right = levels(tl.load(b + there, mask=mask, other=0), UNSIGNED) - tl.load(limits + 4)
    q = round_within((left * right).to(ratio.dtype) * ratio, tl.load(limits), tl.load(limits + 1))
    tl.store(y + at, (q + tl.load(limits + 2)).to(tl.int8), mask=mask)


@triton.jit
def rescale_rows(x, y, ratios, limits, COUNT, WIDTH, Y_WIDTH, UNSIGNED: tl.constexpr, BLOCK: tl.constexpr):
    """Convert rows of ``WIDTH`` bytes to another grid, inside rows of ``Y_WIDTH``: one part of a concatenation."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = at < COUNT
    ratio = tl.load(ratios)
    own = levels(tl.load(x + at, mask=mask, other=0), UNSIGNED) - tl.load(limits + 3)
    q = round_within(own.to(ratio.dtype) * ratio, tl.load(limits), tl.load(limits + 1)) + tl.load(limits + 2)
    tl.store(y + at // WIDTH * Y_WIDTH + at % WIDTH, q.to(tl.int8), mask=mask)


@triton.jit
def look_up(x, y, table, COUNT, BLOCK: tl.constexpr):
    """Apply an elementwise operator by a table of its 256 results, in the order of unsigned bytes."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = at < COUNT
    byte = tl.load(x + at, mask=mask, other=0).to(tl.int32) & 255
    tl.store(y + at, tl.load(table + byte), mask=mask)


@triton.jit
def quantize_floats(x, y, SCALE, ZERO, LOW, HIGH, COUNT, BLOCK: tl.constexpr):
    """Quantize floats to bytes, by an IEEE division, since a product with ``1 / scale`` would round differently."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = at < COUNT
    scale = tl.full((BLOCK,), 0.0, tl.float32) + tl.load(SCALE)
    steps = tl.div_rn(tl.load(x + at, mask=mask, other=0.0), scale)
    tl.store(y + at, (round_within(steps, LOW - ZERO, HIGH - ZERO) + ZERO).to(tl.int8), mask=mask)


@triton.jit
def pool(x, y, ratios, limits, M, C, KH, KW, H, W, OH, OW, SH, SW, PH, PW, DH, DW, MAXIMUM: tl.constexpr,
         INSIDE_ONLY: tl.constexpr, UNSIGNED: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr):  # fmt: skip
    """The largest or the average of each window, channels last.

    Averages divide by the positions inside the image and its padding, or, with ``INSIDE_ONLY``, inside the image alone.
    """
    tiles_n = (C + BN - 1) // BN
    rows = tl.program_id(0) // tiles_n * BM + tl.arange(0, BM)
    columns = tl.program_id(0) % tiles_n * BN + tl.arange(0, BN)
    row, real = tl.minimum(rows, M - 1), (columns < C)[None, :]
    top, left = row // OW % OH * SH - PH, row % OW * SW - PW
    base = x + columns[None, :] + ((row // OW // OH * H * W + top * W + left) * C)[:, None]
    zero = tl.load(limits + 3)
    found = tl.full((BM, BN), -256 if MAXIMUM else 0, tl.int32)
    for tap in range(0, KH * KW):
        kh, kw = tap // KW * DH, tap % KW * DW
        inside = ((top + kh >= 0) & (top + kh < H) & (left + kw >= 0) & (left + kw < W))[:, None]
        value = levels(tl.load(base + (kh * W + kw) * C, mask=inside & real, other=0), UNSIGNED)
        if MAXIMUM:
            found = tl.maximum(found, tl.where(inside, value, -256))
        else:
            found += tl.where(inside, value - zero, 0)
    if MAXIMUM:
        q = found
    else:
        down, right = tl.minimum(top + KH, H + PH), tl.minimum(left + KW, W + PW)
        high, wide = down - top, right - left
        if INSIDE_ONLY:
            high = tl.minimum(down, H) - tl.maximum(top, 0)
            wide = tl.minimum(right, W) - tl.maximum(left, 0)
        area = (high * wide)[:, None].to(tl.float64)
        q = round_within(found.to(tl.float64) / area * tl.load(ratios), tl.load(limits), tl.load(limits + 1))
        q += tl.load(limits + 2)
    at = row[:, None] * C + columns[None, :]
    tl.store(y + at, q.to(tl.int8), mask=(rows < M)[:, None] & real)
