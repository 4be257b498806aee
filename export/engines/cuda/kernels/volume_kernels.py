# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, disallow-untyped-decorators=False
# mypy: disallow-untyped-calls=False
"""Convolutions over volumes, and transposed ones, in Triton: int8 x int8 -> int32 on tensor cores.

Volumes are channels last. The outputs of a transposed convolution of stride ``s`` fall into ``s`` phases along each
dimension; the outputs of one phase read the same taps, and are an ordinary convolution of stride 1. A kernel computes
all phases, so that nothing is multiplied by inserted zeros and no result is written twice. A row of ``phases`` holds,
int32: the place of the phase's first weight; its number of taps along depth, height and width; its first output along
each; and the position of the first tap for that output along each. Other convolutions have one phase.
"""

import triton
import triton.language as tl

from .conv_kernels import store_results

_SIZES = ["M", "D", "H", "W", "OD", "OH", "OW", "YD", "YH", "YW", "DD", "DH", "DW", "PAD"]
"""Names of integer arguments for whose values Triton does not specialize, so that no new value needs a compilation."""


@triton.jit(do_not_specialize=_SIZES)
def conv_volume(x, weight, y, residual, bias, multiplier, ratios, limits, phases, M, N, C, GROUPS, D, H, W, OD, OH, OW,
                YD, YH, YW, SD, SH, SW, DD, DH, DW, UD, UH, UW, X_CHANNELS, Y_CHANNELS, PAD, UNSIGNED: tl.constexpr,
                UNSIGNED_R: tl.constexpr, RESIDUAL: tl.constexpr, EVEN: tl.constexpr, BM: tl.constexpr,
                BN: tl.constexpr, BK: tl.constexpr):  # fmt: skip
    """``[*, D, H, W, C]`` -> ``[*, YD, YH, YW, N]``, of which a phase has ``OD x OH x OW`` outputs at most.

    ``S``: input positions between the outputs of a phase, ``D`` between taps; ``U``: outputs between those of a phase.
    """
    tiles_n = (N + BN - 1) // BN
    pid_m, pid_n = tl.program_id(0) // tiles_n, tl.program_id(0) % tiles_n
    phase, group = tl.program_id(1) // GROUPS, tl.program_id(1) % GROUPS
    phases += phase * 10
    first, KD, KH, KW = tl.load(phases), tl.load(phases + 1), tl.load(phases + 2), tl.load(phases + 3)
    if EVEN:
        first = tl.multiple_of(first, 16)
    rows, columns = pid_m * BM + tl.arange(0, BM), pid_n * BN + tl.arange(0, BN)
    row, column = tl.minimum(rows, M - 1), group * N + tl.minimum(columns, N - 1)
    ow, oh, od, image = row % OW, row // OW % OH, row // OW // OH % OD, row // OW // OH // OD
    near = od * SD + tl.load(phases + 7)
    top, left = oh * SH + tl.load(phases + 8), ow * SW + tl.load(phases + 9)
    base = (((image * D + near) * H + top) * W + left) * X_CHANNELS + group * C
    slices = (C + BK - 1) // BK
    filters = first + column * (KD * KH * KW * C)
    acc = tl.full((BM, BN), 0, tl.int32)
    for step in range(0, KD * KH * KW * slices):
        tap, k = step // slices, step % slices * BK + tl.arange(0, BK)
        kd, kh, kw = tap // KW // KH * DD, tap // KW % KH * DH, tap % KW * DW
        here = (base + ((kd * H + kh) * W + kw) * X_CHANNELS)[:, None] + k[None, :]
        there = filters[None, :] + (tap * C + k)[:, None]
        inside = ((near + kd).to(tl.uint32) < D) & ((top + kh).to(tl.uint32) < H) & ((left + kw).to(tl.uint32) < W)
        inside = inside[:, None]
        if EVEN:
            a, b = tl.load(x + here, mask=inside, other=PAD), tl.load(weight + there)
        else:
            a = tl.load(x + here, mask=inside & (k < C)[None, :], other=PAD)
            b = tl.load(weight + there, mask=(k < C)[:, None], other=0)
        if UNSIGNED:
            a = a ^ -128
        acc = tl.dot(a, b, acc, out_dtype=tl.int32)
    deep, down, across = tl.load(phases + 4) + od * UD, tl.load(phases + 5) + oh * UH, tl.load(phases + 6) + ow * UW
    at = ((((image * YD + deep) * YH + down) * YW + across) * Y_CHANNELS)[:, None] + (group * N + columns)[None, :]
    mask = ((rows < M) & (deep < YD) & (down < YH) & (across < YW))[:, None] & (columns < N)[None, :]
    store_results(acc, y, residual, bias + phase * Y_CHANNELS, multiplier, ratios, at, column, mask, limits, RESIDUAL,
                  UNSIGNED_R, False)  # fmt: skip
