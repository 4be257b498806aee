"""Find the shapes of a loaded graph without computing anything: it runs on fake tensors, which have sizes but no data.

A file may ask for tensors of any size; here no memory is allocated for them. The interpreter of torch.fx runs the graph
call by call, so that a size above the limit ends the run at once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx
from torch._subclasses.fake_tensor import FakeTensorMode

from fxpasses.graph.operators import aten_name
from fxpasses.graph.shapes import note_shape
from fxpasses.signature.examples import with_tensors

from ..pt2_records.facts import Example
from ..pt2_records.records import RefusedError
from .largest import LARGEST
from .operators import gives_a_list

_LARGEST_BYTES = 2**33
_LARGEST_SIZE = 2**62
_MOST_PARTS = 2**16


class _Sizes(fx.Interpreter):
    def run_node(self, n: fx.Node) -> Any:
        if gives_a_list(n.target) and isinstance(n.args[0], fx.Node):
            self._check_parts(n)
        self._check_divisors(n)
        result = self._result(n)
        for value in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(value, Tensor) and value.numel() * value.dtype.itemsize > _LARGEST_BYTES:
                raise RefusedError(f"it is damaged: {n.name} has {value.numel()} elements, on the example's sizes")
            if type(value) is int and abs(value) > _LARGEST_SIZE:
                raise RefusedError(f"it is damaged: {n.name} is a number of more than 62 bits")
        note_shape(n, result)
        return result

    def _result(self, n: fx.Node) -> Any:
        name = aten_name(n.target)
        if name not in LARGEST:
            return super().run_node(n)
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        return LARGEST[name](*args, **kwargs)

    def _check_divisors(self, n: fx.Node) -> None:
        """Check strides, dilations and groups of a deformable convolution, whose kernel divides by them unchecked."""
        if aten_name(n.target) == "torchvision.deform_conv2d":
            given = (*n.args[5:7], *n.args[9:13])
            if n.kwargs or len(n.args) < 13 or any(type(v) is not int or v < 1 for v in given):
                raise RefusedError(f"it is damaged: {n.name} has a stride, dilation or groups below 1")

    def _check_parts(self, n: fx.Node) -> None:
        assert isinstance(n.args[0], fx.Node)
        source = self.env.get(n.args[0])
        if isinstance(source, Tensor) and any(size > _MOST_PARTS for size in source.shape):
            raise RefusedError(f"it is damaged: {n.name} takes a tensor apart that is too long")


def record_sizes(gm: fx.GraphModule, examples: tuple[Example, ...]) -> None:
    """Write shape and dtype of every tensor into ``node.meta``, like :func:`fxpasses.graph.shapes.record_shapes`.

    Raises:
        RefusedError: a tensor has more than 8 GiB, or a number more than 62 bits.
    """
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        _Sizes(gm).run(*with_tensors(examples, lambda spec: torch.empty(spec[0], dtype=spec[1])))
