"""The window that a convolution or pool reads for each position: size, stride, padding and dilation, for kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """Height and width of window, stride, padding and dilation; a linear layer is a window of one position."""

    size: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)

    @property
    def positions(self) -> int:
        return self.size[0] * self.size[1]

    @property
    def is_padded(self) -> bool:
        return any(self.padding)

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        down, right = (
            (have + 2 * pad - dilation * (size - 1) - 1) // stride + 1
            for have, size, stride, pad, dilation in zip(
                (height, width), self.size, self.stride, self.padding, self.dilation, strict=True
            )
        )
        return down, right

    def arguments(self, height: int, width: int, out: tuple[int, int]) -> tuple[int, ...]:
        """Arguments in the order of all kernels of this engine: ``KH KW H W OH OW SH SW PH PW DH DW``."""
        return (*self.size, height, width, *out, *self.stride, *self.padding, *self.dilation)


def pair(value: int | Sequence[int]) -> tuple[int, int]:
    """Height and width of a setting, which may be given once for both or for each."""
    both = [value] * 2 if isinstance(value, int) else [int(v) for v in value]
    return both[0], both[-1]
