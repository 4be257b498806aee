# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, disallow-untyped-decorators=False
# mypy: disallow-untyped-calls=False
"""Products of two activations in Triton: int8 x int8 -> int32 on tensor cores, for a batch of matrices.

Both operands are read where they lie, by strides, so that transposed and broadcast ones are not copied. Bytes come as
int8; unsigned ones are shifted by 128 as they are read. Bytes are multiplied with their zero points in them, and
``(a - s) (b - t) = a b - t a - s b + s t``: what zero points add for a row and for a column is taken away at the end.
"""

import triton
import triton.language as tl

from .rounding import round_within


@triton.jit(do_not_specialize=["M", "INNER"])
def multiply_matrices(a, b, y, of_rows, of_columns, ratios, limits, M, N, K, INNER, A_OUTER, A_INNER, A_ROW, A_K,
                      B_OUTER, B_INNER, B_K, B_COLUMN, UNSIGNED_A: tl.constexpr, UNSIGNED_B: tl.constexpr,
                      ROWS: tl.constexpr, COLUMNS: tl.constexpr, EVEN: tl.constexpr, BM: tl.constexpr,
                      BN: tl.constexpr, BK: tl.constexpr):  # fmt: skip
    """``[OUTER, INNER, M, K]`` times ``[OUTER, INNER, K, N]`` -> ``[OUTER, INNER, M, N]``, dense.

    ``of_rows`` (int32 ``[OUTER, INNER, M]``) and ``of_columns`` are taken away, if there are ``ROWS`` and ``COLUMNS``.
    ``limits``: the smallest and largest result without the zero point, and the zero point. ``EVEN``: K is a whole
    number of slices of BK.
    """
    tiles_n, tiles_m = (N + BN - 1) // BN, (M + BM - 1) // BM
    tile, batch = tl.program_id(0) % (tiles_n * tiles_m), (tl.program_id(0) // (tiles_n * tiles_m)).to(tl.int64)
    rows, columns = tile // tiles_n * BM + tl.arange(0, BM), tile % tiles_n * BN + tl.arange(0, BN)
    row, column = tl.minimum(rows, M - 1), tl.minimum(columns, N - 1)
    real = columns < N  # the second operand's columns may lie side by side, and a minimum would hide that they do
    a += batch // INNER * A_OUTER + batch % INNER * A_INNER
    b += batch // INNER * B_OUTER + batch % INNER * B_INNER
    acc = tl.full((BM, BN), 0, tl.int32)
    for step in range(0, (K + BK - 1) // BK):
        k = step * BK + tl.arange(0, BK)
        here = (row * A_ROW)[:, None] + (k * A_K)[None, :]
        there = (k * B_K)[:, None] + (columns * B_COLUMN)[None, :]
        if EVEN:
            left = tl.load(a + here)
            right = tl.load(b + there, mask=real[None, :], other=0)
        else:  # what is masked is 0 once it is shifted
            left = tl.load(a + here, mask=(k < K)[None, :], other=-128 if UNSIGNED_A else 0)
            right = tl.load(b + there, mask=(k < K)[:, None] & real[None, :], other=-128 if UNSIGNED_B else 0)
        if UNSIGNED_A:
            left = left ^ -128
        if UNSIGNED_B:
            right = right ^ -128
        acc = tl.dot(left, right, acc, out_dtype=tl.int32)
    if ROWS:
        acc -= tl.load(of_rows + batch * M + row)[:, None]
    if COLUMNS:
        acc -= tl.load(of_columns + batch * N + column)[None, :]
    ratio = tl.load(ratios)
    q = round_within(acc.to(ratio.dtype) * ratio, tl.load(limits), tl.load(limits + 1)) + tl.load(limits + 2)
    y += batch * M * N
    mask = (rows < M)[:, None] & (columns < N)[None, :]
    tl.store(y + row[:, None] * N + columns[None, :], q.to(tl.int8), mask=mask)
