"""A lowered net on x86, called with as little overhead as Python allows.

Four overheads cost a call of a small net as much as its kernels; each is avoided here for the whole net (measured:
docs/lab_notes.md):

* Packed weights of oneDNN keep the primitive of their first call, for its shape and number of threads (PyTorch,
``aten/src/ATen/native/quantized/cpu/OnednnUtils.h``, ``PrimitiveCacheKey``). For any other shape a primitive is built
at every call. So a frequent shape gets its own packed weights; they take some three times the
memory of the int8 weights.
* Torch asks every argument whether it overrides the operator. For packed weights the answer needs two C++ exceptions
and one in Python.
* ``nn.Module`` looks for submodules and buffers only after ordinary attributes fail, and Python formats that failure.
So kernels are called as functions, and keep their tensors as ordinary attributes.
* Each call from Python costs time of its own. So consecutive kernels are called as one function
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
    """Runs a lowered graph for any batch size and number of threads, and for several callers at once.

    Args:
        net: the result of :func:`lower` with this engine's kernels. Its packed weights have not been called yet.
        graph: the QUANTIZED graph it was made from. Pickles contain this graph, since packed weights suit one machine
            only.
        again: function that makes this module from ``graph``.

    Attributes:
        net: the net, kernel by kernel.
    """

    def __init__(self, net: fx.GraphModule, graph: fx.GraphModule, again: Callable[[fx.GraphModule], X86Net]) -> None:
        super().__init__()
        self.net = net
        self._made_of = (graph, again)  # a tuple, so that its parameters are not registered here
        # Dynamo mistakes the dtype of quint8 tensors, and kernels would get wrong ones
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
    """The same net with shared parameters and new packed weights, which have not been called yet."""
    kernels = {name: kernel for name, kernel in net.named_children() if isinstance(kernel, Kernel)}
    kernels |= {name: kernel.packed_again() for name, kernel in kernels.items() if isinstance(kernel, PackedConv)}
    return assembled(copy.deepcopy(net.graph), net, kernels)


def _as_called(net: fx.GraphModule) -> fx.GraphModule:
    """The net with kernels as plain functions, and consecutive kernels as chains."""
    called = chained(net)
    for name, child in called.named_children():
        called.__dict__[name] = child.function if isinstance(child, Kernel) else child
    return called
