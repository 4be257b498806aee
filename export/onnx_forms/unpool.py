"""Unpooling in ONNX: values return to the positions where a pool found them; all other values are zero. Exact.

ONNX counts positions over the whole tensor, PyTorch over each channel. So values are scattered into each channel
separately, ``[B, C, H * W]``, which every runtime does in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch


def unpool_translations(opset: int) -> dict[Callable[..., Any], Callable[..., Any]]:
    """Translations of unpooling for the argument ``custom_translation_table`` of torch.onnx.export."""
    import onnxscript

    op: Any = onnxscript.values.Opset("", opset)

    def unpool_2d(self: Any, indices: Any, output_size: Any) -> Any:
        return _scattered(op, self, indices, output_size)

    def unpool_3d(self: Any, indices: Any, output_size: Any, stride: Any, padding: Any) -> Any:
        return _scattered(op, self, indices, output_size)

    return {torch.ops.aten.max_unpool2d.default: unpool_2d, torch.ops.aten.max_unpool3d.default: unpool_3d}


def _scattered(op: Any, x: Any, indices: Any, sizes: Sequence[Any]) -> Any:
    channel_axis = len(x.shape) - len(sizes)
    before = op.Shape(x, start=0, end=channel_axis)
    spatial = op.Concat(*(_as_vector(op, size) for size in sizes), axis=0)
    rows = op.Concat(before, op.Constant(value_ints=[-1]), axis=0)
    all_places = op.Concat(before, op.ReduceProd(spatial), axis=0)
    zeros = op.Expand(op.CastLike(op.Constant(value_float=0.0), x), all_places)
    filled = op.ScatterElements(zeros, op.Reshape(indices, rows), op.Reshape(x, rows), axis=channel_axis)
    return op.Reshape(filled, op.Concat(before, spatial, axis=0))


def _as_vector(op: Any, size: Any) -> Any:
    """A size, constant or computed in the graph, as a tensor with one element."""
    if isinstance(size, int):
        return op.Constant(value_ints=[size])
    return op.Reshape(op.Cast(size, to=7), op.Constant(value_ints=[1]))
