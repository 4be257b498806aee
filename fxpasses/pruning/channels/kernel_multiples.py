"""Channel counts that suit kernels: a count between two multiples costs the time of the next multiple, or more."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ...errors import InputError
from ...quantization.numbers.targets import find_target

Found = TypeVar("Found")
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


def in_largest_multiples(
    multiple: int, choose: Callable[[int], Found], removes: Callable[[Found], bool]
) -> tuple[Found, int]:
    """Choose channels in multiples of a number; where none can go, in its half, its quarter and so on.

    Args:
        multiple: a power of two to start from.
        choose: the choice for a multiple. It may raise :class:`InputError`.
        removes: whether a choice removes any channel.

    Returns:
        The first choice that removes channels, or the one for single channels, and its multiple.

    Raises:
        InputError: from ``choose`` for single channels.
    """
    while True:
        try:
            found = choose(multiple)
        except InputError:
            if multiple == 1:
                raise
        else:
            if multiple == 1 or removes(found):
                return found, multiple
        multiple //= 2
