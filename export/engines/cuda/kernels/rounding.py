# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, disallow-untyped-decorators=False
# mypy: disallow-untyped-calls=False
"""Rounding of exact sums to the integers of a grid, inside a Triton kernel.

Adding and taking away 1.5 * 2**23 (2**52 in float64) rounds half to even, as every float addition does; products must
not be contracted into that addition, so kernels are launched without fused multiply-add. Python calls none of these:
Triton compiles their source, or interprets it.
"""

import triton
import triton.language as tl


@triton.jit
def round_within(steps, low, high):
    """Round float numbers of steps to int32 within two bounds; the bounds keep the values small enough to round."""
    clipped = tl.minimum(tl.maximum(steps, low.to(steps.dtype)), high.to(steps.dtype))
    if steps.dtype == tl.float64:
        whole = (clipped + 6755399441055744.0) - 6755399441055744.0
    else:
        whole = (clipped + 12582912.0) - 12582912.0
    return whole.to(tl.int32)


@triton.jit
def levels(byte, UNSIGNED: tl.constexpr):
    """Convert bytes, which are read as int8, to the int32 values that they stand for, signed or unsigned."""
    value = byte.to(tl.int32)
    if UNSIGNED:
        value = value & 255
    return value
