"""What a lowered graph calls in the place of an operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import fx, nn

from fxpasses.quantization.qparams import QParams


@dataclass(frozen=True)
class OneCall:
    """That a kernel is one call of one operator on quint8 tensors, so that several can be called at once.

    Attributes:
        operator: its name behind ``torch.ops``, as in ``quantized.add``.
        x: the grids of the tensors it takes.
        constants: its other arguments, which come behind the tensors: numbers and packed weights.
        as_list: whether the tensors are one argument, a list.
    """

    operator: str
    x: tuple[QParams, ...]
    constants: tuple[Any, ...]
    as_list: bool = False


class Kernel(nn.Module):
    """One operation of an integer region: integer tensors in, an integer tensor out; at its borders floats."""

    reads: ClassVar[int | None] = None
    """With how many of the operation's inputs it is called: the first so many, or all."""

    def source(self, node: fx.Node) -> fx.Node:
        """At a border, the node it reads: the one that ``quantize`` or ``dequantize`` does, or one further up."""
        return node.all_input_nodes[0]

    @property
    def function(self) -> Callable[..., Any]:
        """The same as calling it, without the hooks of a module: where a layer takes 10 us, they are seen."""
        return self.forward

    @property
    def one_call(self) -> OneCall | None:
        """The one operator it calls, if that is all it does."""
        return None
