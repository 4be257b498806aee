"""Pools as ONNX and onnxruntime compute them right, whatever their settings.

- ``divisor_override`` has no ONNX form, and the exporter drops it: a sum over the window is an average over it, padded
  with zeros, times its size.
- With ``ceil_mode`` the last window may reach beyond the padding. PyTorch divides it by what lies inside, padding
  included where that counts; onnxruntime's int8 kernel does not. Padded before the pool, nothing counts but the inside.
- Adaptive pools of maxima have no ONNX form: they are maxima of slices. Nobody may read their indices.
- PyTorch drops a last window that starts in the padding; ``Slice`` does, where that can happen.

Every rewrite computes the same numbers up to float rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
import torch

from .onnx_edit import add_constant, take_place


def pool_translations(opset: int) -> dict[Callable[..., Any], Callable[..., Any]]:
    """For ``custom_translation_table`` of torch.onnx.export."""
    import onnxscript

    op: Any = onnxscript.values.Opset("", opset)

    def average(x: Any, window: _Window, counts: bool, divisor: int | None) -> Any:
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

    # The exporter binds arguments by ATen's names.
    def avg_pool1d(self, kernel_size, stride=(), padding=0, ceil_mode=False, count_include_pad=True):  # type: ignore[no-untyped-def]
        return average(self, _window(1, kernel_size, stride, padding, ceil_mode), count_include_pad, None)

    def avg_pool2d(  # type: ignore[no-untyped-def]
        self, kernel_size, stride=(), padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
    ):
        return average(self, _window(2, kernel_size, stride, padding, ceil_mode), count_include_pad, divisor_override)

    def avg_pool3d(  # type: ignore[no-untyped-def]
        self, kernel_size, stride=(), padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
    ):
        return average(self, _window(3, kernel_size, stride, padding, ceil_mode), count_include_pad, divisor_override)

    def adaptive_max(x: Any, sizes: Any) -> tuple[Any, Any]:
        """Maxima over windows of different sizes, one dimension after the other, and in place of indices anything."""
        wanted = [int(size) for size in sizes]
        for axis, (count, size) in enumerate(
            zip(wanted, x.shape[-len(wanted) :], strict=True), len(x.shape) - len(wanted)
        ):
            x = _largest(op, x, axis, count, int(size))
        return x, op.Shape(x)

    def adaptive_max_pool(self, output_size):  # type: ignore[no-untyped-def]
        return adaptive_max(self, output_size)

    aten = torch.ops.aten
    return {
        aten.adaptive_max_pool1d.default: adaptive_max_pool,
        aten.adaptive_max_pool2d.default: adaptive_max_pool,
        aten.adaptive_max_pool3d.default: adaptive_max_pool,
        aten.avg_pool1d.default: avg_pool1d,
        aten.avg_pool2d.default: avg_pool2d,
        aten.avg_pool3d.default: avg_pool3d,
    }


def _largest(op: Any, x: Any, axis: int, count: int, size: int) -> Any:
    """Maxima over ``count`` windows of a dimension, as adaptive pools lay them out: of sizes that differ by one."""
    axes, found = op.Constant(value_ints=[axis]), []
    for i in range(count):
        first, last = i * size // count, -(-(i + 1) * size // count)
        part = (
            x
            if (first, last) == (0, size)
            else op.Slice(x, op.Constant(value_ints=[first]), op.Constant(value_ints=[last]), axes)
        )
        found.append(op.ReduceMax(part, axes))
    return found[0] if count == 1 else op.Concat(*found, axis=axis)


@dataclass(frozen=True)
class _Window:
    """Settings of a pool, one number for each spatial dimension."""

    kernel: list[int]
    stride: list[int]
    padding: list[int]
    ceil: bool

    def kept(self, shape: Any) -> tuple[list[int], list[int], list[int]] | None:
        """Starts, ends and axes of a Slice that drops windows which start in the padding; None where none can."""
        dims = len(self.kernel)
        sizes = [shape[2 + d] if shape is not None and len(shape) > 2 + d else None for d in range(dims)]
        ends, drops = [], False
        for size, k, s, p in zip(sizes, self.kernel, self.stride, self.padding, strict=True):
            if not isinstance(size, int):
                return None
            count = -((size + 2 * p - k) // -s) + 1
            starts_behind = (count - 1) * s >= size + p
            ends.append(count - starts_behind)
            drops |= starts_behind
        return ([0] * dims, ends, list(range(2, 2 + dims))) if drops else None


def _window(dims: int, kernel: Any, stride: Any, padding: Any, ceil: bool) -> _Window:
    kernels = _each(kernel, dims)
    return _Window(kernels, _each(stride, dims) if stride else kernels, _each(padding, dims), ceil)


def _each(value: Any, dims: int) -> list[int]:
    """One number for each dimension."""
    numbers = [int(v) for v in value] if isinstance(value, Sequence) else [int(value)]
    return numbers * dims if len(numbers) == 1 else numbers


def pad_before_pool(model: ir.Model, node: ir.Node) -> None:
    """An average pool with ``ceil_mode`` that counts its padding: pad first, and count what is there."""
    ceil, counts = (node.attributes.get_int(name, 0) for name in ("ceil_mode", "count_include_pad"))
    x = node.inputs[0]
    if x is None or not ceil or not counts:
        return
    kernel = list(node.attributes.get_ints("kernel_shape", ()))
    dims = len(kernel)
    stride = list(node.attributes.get_ints("strides", [1] * dims))
    pads = list(node.attributes.get_ints("pads", [0] * 2 * dims))
    name, source = node.outputs[0].name, x
    if any(pads):
        sizes = np.array([0, 0, *pads[:dims], 0, 0, *pads[dims:]], dtype=np.int64)
        padded = ir.node("Pad", [x, add_constant(model, f"{name}_pads", sizes)], name=f"{node.name}_pad")
        padded.outputs[0].name = f"{name}_padded"
        model.graph.insert_before(node, padded)
        source = padded.outputs[0]
    settings: dict[str, int | list[int]] = {
        "kernel_shape": kernel,
        "strides": stride,
        "ceil_mode": 1,
        "count_include_pad": 0,
    }
    pool = ir.node("AveragePool", [source], settings, name=node.name)
    kept = _Window(kernel, stride, pads[:dims], ceil=True).kept(x.shape)
    if kept is None:
        take_place(node, pool)
        return
    pool.outputs[0].name = f"{name}_all"
    model.graph.insert_before(node, pool)
    ends = [
        add_constant(model, f"{name}_{what}", np.array(values, dtype=np.int64))
        for what, values in zip(("starts", "ends", "axes"), kept, strict=True)
    ]
    take_place(node, ir.node("Slice", [pool.outputs[0], *ends], name=f"{node.name}_slice"))
