"""Channel counts that suit kernels: a count between two multiples costs the time of the next multiple, or more."""

from __future__ import annotations

from ...quantization.numbers.targets import find_target

AUTO = "auto"
MULTIPLES = {"x86": 16, "x86-avx2": 16, "arm": 16, "cuda": 32}
"""Multiple of channels by target, for int8 and float32 kernels of both runtimes; docs/pruning.md has the measurements.

``scripts/bench_channel_counts.py`` repeats them on a machine. The values of ``arm`` and ``cuda`` were not measured:
they follow from the number of bytes in a register and in a product of a tensor core.
"""


def channel_multiple(target: str = AUTO) -> int:
    """Multiple for ``round_to`` of :func:`fxpasses.pruning.choose_channels`, by target; ``"auto"`` is this machine.

    Raises:
        InputError: there is no such target.
    """
    return MULTIPLES[find_target(target).name]
