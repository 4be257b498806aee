"""Base class of the modules that replace operators in a lowered graph."""

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
        operator: its name in ``torch.ops``, as in ``quantized.add``, or a function that TorchScript understands.
        constants: its arguments after the tensors: numbers, lists of numbers, packed weights and other tensors.
    """

    operator: str | Callable[..., Tensor]
    constants: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Script:
    """Operators with the result of a kernel, so that the operators of several kernels can run in one call.

    Attributes:
        x: parameters of the quint8 tensors that the kernel takes.
        calls: the first takes these tensors, each other one the result of the one before.
        as_list: whether the first takes its tensors as one argument, a list.
        begins: whether a chain may begin with it. Later in a chain its input is quint8 anyway; at the beginning
            converting bytes to quint8 would cost more than the chain saves.
    """

    x: tuple[QParams, ...]
    calls: tuple[Call, ...]
    as_list: bool = False
    begins: bool = True


class Kernel(nn.Module):
    """One operation on integer tensors that gives an integer tensor; with floats where integers begin or end."""

    reads: ClassVar[int | None] = None
    """Number of the operation's inputs that the kernel takes (the first ones); None for all."""

    def source(self, node: fx.Node) -> fx.Node:
        """The node that a kernel for ``quantize`` or ``dequantize`` reads: its input, or an earlier node."""
        return node.all_input_nodes[0]

    @property
    def function(self) -> Callable[..., Any]:
        """The kernel as a function, without the hooks of a module, whose cost counts for small layers."""
        return self.forward

    @property
    def script(self) -> Script | None:
        """The operators that the kernel calls, if it does nothing else; otherwise None."""
        return None
