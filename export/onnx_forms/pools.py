"""Rewrite pools in forms that ONNX and onnxruntime compute correctly, for all settings.

- ``divisor_override`` has no ONNX form, and the exporter drops it: a sum over the window is an average over it, padded
with zeros, times its size.
- With ``ceil_mode`` the last window may reach beyond the padding. PyTorch divides it by the number of values inside
(with the padding, if that counts); onnxruntime's int8 kernel does not. If the padding is done before the pool, both
count only the values inside.
- Adaptive pools whose windows differ in size have no ONNX form: they are maxima or means of slices. The indices of
maxima must not be used.
- PyTorch drops a last window that starts in the padding. onnxruntime reserves memory for it and then stops: padding
that only this window sees is left out, or cropped.

Every rewrite gives the same results up to float rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
import torch

from .edit import add_constant, take_place


def pool_translations(opset: int) -> dict[Callable[..., Any], Callable[..., Any]]:
    """Translations of pools for the argument ``custom_translation_table`` of torch.onnx.export."""
    import onnxscript

    op: Any = onnxscript.values.Opset("", opset)

    def avg_pool(dims: int) -> Callable[..., Any]:
        def translate(  # the exporter binds arguments by ATen's names
            self: Any,
            kernel_size: Any,
            stride: Any = (),
            padding: Any = 0,
            ceil_mode: bool = False,
            count_include_pad: bool = True,
            divisor_override: Any = None,
        ) -> Any:
            window = _window(dims, kernel_size, stride, padding, ceil_mode)
            return _average(op, self, window, count_include_pad, divisor_override)

        return translate

    def adaptive_max_pool(self: Any, output_size: Any) -> Any:
        return _adaptive(op, op.ReduceMax, self, output_size), op.Shape(
            self
        )  # in place of indices, which nothing reads

    def adaptive_avg_pool(self: Any, output_size: Any) -> Any:
        return _adaptive(op, op.ReduceMean, self, output_size)

    aten = torch.ops.aten
    maxima = (aten.adaptive_max_pool1d.default, aten.adaptive_max_pool2d.default, aten.adaptive_max_pool3d.default)
    return dict.fromkeys(maxima, adaptive_max_pool) | {
        aten.avg_pool1d.default: avg_pool(1),
        aten.avg_pool2d.default: avg_pool(2),
        aten.avg_pool3d.default: avg_pool(3),
        aten._adaptive_avg_pool3d.default: adaptive_avg_pool,
    }


def _average(op: Any, x: Any, window: _Window, counts: bool, divisor: int | None) -> Any:
    """Averages over windows; a given divisor replaces the number of values inside."""
    kernel, stride, padding, ceil = window.kernel, window.stride, window.padding, window.ceil
    if divisor is None:
        settings = {"ceil_mode": int(ceil), "count_include_pad": int(counts)}
        return op.AveragePool(x, kernel_shape=kernel, strides=stride, pads=[*padding, *padding], **settings)
    behind = [p + (s - 1) * ceil for p, s in zip(padding, stride, strict=True)]
    zeros = op.Constant(value_ints=[0, 0, *padding, 0, 0, *behind])
    means = op.AveragePool(op.Pad(x, zeros), kernel_shape=kernel, strides=stride)
    sums = op.Mul(means, op.CastLike(op.Constant(value_float=math.prod(kernel) / divisor), means))
    kept = window.kept(x.shape) if ceil else None
    return sums if kept is None else op.Slice(sums, *(op.Constant(value_ints=v) for v in kept))


def _adaptive(op: Any, reduce: Any, x: Any, sizes: Any) -> Any:
    """Maxima or means over windows of different sizes, one dimension after the other."""
    wanted = [int(size) for size in sizes]
    first = len(x.shape) - len(wanted)
    for axis, (count, size) in enumerate(zip(wanted, x.shape[first:], strict=True), first):
        x = _along(op, reduce, x, axis, count, int(size))
    return x


def _along(op: Any, reduce: Any, x: Any, axis: int, count: int, size: int) -> Any:
    """``count`` windows of one dimension, each reduced to one value; their sizes are those of adaptive pools."""
    if count == size:
        return x
    axes, found = op.Constant(value_ints=[axis]), []
    for i in range(count):
        first, last = i * size // count, -(-(i + 1) * size // count)
        part = (
            x
            if (first, last) == (0, size)
            else op.Slice(x, op.Constant(value_ints=[first]), op.Constant(value_ints=[last]), axes)
        )
        found.append(reduce(part, axes))
    return found[0] if count == 1 else op.Concat(*found, axis=axis)


@dataclass(frozen=True)
class _Window:
    """Settings of a pool, with one number for each spatial dimension."""

    kernel: list[int]
    stride: list[int]
    padding: list[int]
    ceil: bool

    def count(self, dim: int, size: int) -> int:
        """Number of PyTorch's windows, without one that starts in the padding at the end."""
        k, s, p = self.kernel[dim], self.stride[dim], self.padding[dim]
        count = -((size + 2 * p - k) // -s) + 1
        return count - ((count - 1) * s >= size + p)

    def padding_behind(self, shape: Any) -> list[int]:
        """Padding at the end that gives PyTorch's windows; negative to crop values that no window contains."""
        found = list(self.padding)
        for dim, (k, s, p) in enumerate(zip(self.kernel, self.stride, self.padding, strict=True)):
            size = shape[2 + dim] if shape is not None and len(shape) > 2 + dim else None
            if isinstance(size, int):
                found[dim] = min(p, (self.count(dim, size) - 1) * s + k - size - p)
        return found

    def kept(self, shape: Any) -> tuple[list[int], list[int], list[int]] | None:
        """Starts, ends and axes of a Slice that drops windows which start in the padding; None if there are none."""
        dims = len(self.kernel)
        sizes = [shape[2 + d] if shape is not None and len(shape) > 2 + d else None for d in range(dims)]
        ends, drops = [], False
        for dim, (size, k, s, p) in enumerate(zip(sizes, self.kernel, self.stride, self.padding, strict=True)):
            if not isinstance(size, int):
                return None
            ends.append(self.count(dim, size))
            drops |= ends[-1] != -((size + 2 * p - k) // -s) + 1
        return ([0] * dims, ends, list(range(2, 2 + dims))) if drops else None


def _window(dims: int, kernel: Any, stride: Any, padding: Any, ceil: bool) -> _Window:
    kernels = _each(kernel, dims)
    return _Window(kernels, _each(stride, dims) if stride else kernels, _each(padding, dims), ceil)


def _each(value: Any, dims: int) -> list[int]:
    """A list with one number for each dimension."""
    numbers = [int(v) for v in value] if isinstance(value, Sequence) else [int(value)]
    return numbers * dims if len(numbers) == 1 else numbers


def settle_pool(model: ir.Model, node: ir.Node) -> None:
    """Rewrite a pool that rounds its size up: PyTorch's windows, each divided by the number of values inside."""
    x = node.inputs[0]
    if x is None or not node.attributes.get_int("ceil_mode", 0) or len(node.outputs) > 1:
        return
    kernel = list(node.attributes.get_ints("kernel_shape", ()))
    dims = len(kernel)
    stride = list(node.attributes.get_ints("strides", [1] * dims))
    dilation = list(node.attributes.get_ints("dilations", [1] * dims))
    pads = list(node.attributes.get_ints("pads", [0] * 2 * dims))
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    behind = _Window(reach, stride, pads[:dims], ceil=True).padding_behind(x.shape)
    counts = bool(node.attributes.get_int("count_include_pad", 0))
    settings: dict[str, int | list[int]] = {"kernel_shape": kernel, "strides": stride, "ceil_mode": 1}
    if node.op_type == "MaxPool":
        settings["dilations"] = dilation
    if counts:
        source = _padded(model, node, x, pads[:dims], behind)
    elif behind == pads[dims:]:
        return
    else:
        source = _padded(model, node, x, [0] * dims, [min(0, b) for b in behind])
        settings["pads"] = [*pads[:dims], *(max(0, b) for b in behind)]
    take_place(node, ir.node(node.op_type, [source], settings, name=node.name))


def _padded(model: ir.Model, node: ir.Node, x: ir.Value, before: list[int], behind: list[int]) -> ir.Value:
    """A pool's input padded with zeros or cropped; the input itself if nothing changes."""
    if not any(before) and not any(behind):
        return x
    name, sizes = node.outputs[0].name, np.array([0, 0, *before, 0, 0, *behind], dtype=np.int64)
    pad = ir.node("Pad", [x, add_constant(model, f"{name}_pads", sizes)], name=f"{node.name}_pad")
    pad.outputs[0].name = f"{name}_padded"
    model.graph.insert_before(node, pad)
    return pad.outputs[0]
