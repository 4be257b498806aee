"""A lowered net on x86, called with as little in between as Python allows.

Four things cost a call of a small net as much as its kernels do, and are settled here once for the whole net:

* Packed weights of oneDNN keep the primitive of their first call, for its shape and number of threads (PyTorch,
  ``aten/src/ATen/native/quantized/cpu/OnednnUtils.h``, ``PrimitiveCacheKey``). At any other shape a primitive is built
  anew, 25 to 50 us a layer, for good. So a shape that keeps coming gets packed weights of its own; they cost some three
  times the size of the int8 weights.
* Torch asks every argument whether it overrides the operator. Packed weights say no by two C++ exceptions and one in
  Python: 15 us a layer.
* ``nn.Module`` looks for submodules and buffers only where ordinary attributes fail, and Python formats that failure:
  1.5 us. So kernels are called by their functions, and keep their tensors as ordinary attributes.
* A call from Python takes 3 to 5 us. So kernels that follow each other are called as one
(:mod:`fxpasses.export.engines.chains`).
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn

from .. import quint8
from ..chains import chained
from ..kernel import Kernel
from ..replace_calls import assembled
from ..shape_cache import ByShape
from .layers import PackedConv

_without_overrides = getattr(torch._C, "DisableTorchFunctionSubclass", contextlib.nullcontext)


class X86Net(nn.Module):
    """Runs a lowered graph; any batch size, any number of threads, several callers at once.

    Args:
        net: what :func:`lower` made with this engine's kernels. Its packed weights have not been called yet.
        graph: the QUANTIZED graph it was made of, which its pickles hold: packed weights are for this machine.
        again: what made this of ``graph``.

    Attributes:
        net: the same, kernel by kernel.
    """

    def __init__(self, net: fx.GraphModule, graph: fx.GraphModule, again: Callable[[fx.GraphModule], X86Net]) -> None:
        super().__init__()
        self.net = net
        self._made_of = (graph, again)  # a tuple: its parameters are not those of this module
        # Dynamo takes quint8 tensors for those of another dtype, and kernels would be handed the wrong ones
        self._run: Callable[..., Any] = torch.compiler.disable(self._untraced)
        self._nets = ByShape(_as_called(net), again=lambda _: _as_called(_packed_again(net)))

    def forward(self, *inputs: Any, **named: Any) -> Any:
        return self._run(*inputs, **named)

    def _untraced(self, *inputs: Any, **named: Any) -> Any:
        if quint8.is_traced():
            return self.net(*inputs, **named)
        shapes = tuple([x.shape if isinstance(x, Tensor) else None for x in (*inputs, *named.values())])
        key = (shapes, torch.get_num_threads())
        net = self._nets.kept.get(key) or self._nets.of(key)
        with _without_overrides():
            return net.forward(*inputs, **named)

    def __deepcopy__(self, memo: dict[int, Any]) -> X86Net:
        return X86Net(_packed_again(self.net), *self._made_of).train(self.training)

    def __reduce__(self) -> tuple[Any, ...]:
        graph, again = self._made_of
        return again, (graph,)


def _packed_again(net: fx.GraphModule) -> fx.GraphModule:
    """The same net, its parameters shared, with packed weights that have not been called yet."""
    kernels = {name: kernel for name, kernel in net.named_children() if isinstance(kernel, Kernel)}
    kernels |= {name: kernel.packed_again() for name, kernel in kernels.items() if isinstance(kernel, PackedConv)}
    return assembled(copy.deepcopy(net.graph), net, kernels)


def _as_called(net: fx.GraphModule) -> fx.GraphModule:
    """The same net, kernels as bare functions, those that can be called as one as one."""
    called = chained(net)
    for name, child in called.named_children():
        called.__dict__[name] = child.function if isinstance(child, Kernel) else child
    return called
