"""What a lowered graph calls in the place of an operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, fx, nn

from fxpasses.quantization.numbers.qparams import QParams


@dataclass(frozen=True)
class Call:
    """One operator that a kernel calls.

    Attributes:
        operator: its name behind ``torch.ops``, as in ``quantized.add``, or a function that TorchScript understands.
        constants: its arguments behind the tensors: numbers, lists of them, packed weights and other tensors.
    """

    operator: str | Callable[..., Tensor]
    constants: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Script:
    """Operators that compute what a kernel computes, so that those of several kernels can be called at once.

    Attributes:
        x: the grids of the quint8 tensors the kernel takes.
        calls: the first takes those tensors, every other one what the one before it gave.
        as_list: whether the first takes its tensors as one argument, a list.
        begins: whether it may come first. Behind others its tensor is quint8 anyway; bytes made quint8 win nothing.
    """

    x: tuple[QParams, ...]
    calls: tuple[Call, ...]
    as_list: bool = False
    begins: bool = True


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
    def script(self) -> Script | None:
        """The operators it calls, if that is all it does."""
        return None
