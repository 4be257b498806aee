"""What a lowered graph calls in the place of an operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from torch import Tensor, fx, nn


class Kernel(nn.Module):
    """One operation of an integer region: integer tensors in, an integer tensor out; at its borders floats."""

    reads: ClassVar[int | None] = None
    """With how many of the operation's inputs it is called: the first so many, or all."""

    def source(self, node: fx.Node) -> fx.Node:
        """At a border, the node it reads: the one that ``quantize`` or ``dequantize`` does, or one further up."""
        return node.all_input_nodes[0]

    @property
    def function(self) -> Callable[..., Tensor]:
        """The same as calling it, without the hooks of a module: where a layer takes 10 us, they are seen."""
        return self.forward
