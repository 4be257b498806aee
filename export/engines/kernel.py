"""What a lowered graph calls in the place of an operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from torch import Tensor, nn


class Kernel(nn.Module):
    """One operation of an integer region: integer tensors in, an integer tensor out; at its borders floats."""

    reads: ClassVar[int | None] = None
    """With how many of the operation's inputs it is called: the first so many, or all."""

    @property
    def function(self) -> Callable[..., Tensor]:
        """The same as calling it, without the hooks of a module: where a layer takes 10 us, they are seen."""
        return self.forward
