"""Channel counts that kernels like: a count between two multiples costs the time of the next multiple, or more."""

from __future__ import annotations

from ...quantization.numbers.targets import find_target

AUTO = "auto"
MULTIPLES = {"x86": 16, "x86-avx2": 16, "arm": 16, "cuda": 32}
"""By target: what suits int8 and float32 kernels of both runtimes; docs/pruning.md has the measurements.

``scripts/bench_channel_counts.py`` repeats them on a machine. Those of ``arm`` and ``cuda`` were not measured: they are
the bytes that a register and a tensor core's product take.
"""


def channel_multiple(target: str = AUTO) -> int:
    """The ``round_to`` of :func:`fxpasses.pruning.choose_channels` that suits a target; ``"auto"`` is the machine's
    own.

    Raises:
        InputError: there is no such target.
    """
    return MULTIPLES[find_target(target).name]
