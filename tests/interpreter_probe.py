"""The smallest kernel with a loop whose length is an argument, to see whether Triton's interpreter can run one."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def count_up(out, count):  # type: ignore[no-untyped-def]  # Triton gives annotations a meaning of its own
    """Write 0 to ``count - 1`` to a tensor of integers."""
    for number in range(count):
        tl.store(out + number, number)
