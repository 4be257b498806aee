"""Translations of PyTorch operators for which torch's exporter has none, by operators that ONNX has.

Values are PyTorch's up to float rounding. Where several values are equal, the index of a median or of a k-th value may
be that of another one of them: PyTorch promises none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

_INT64 = 7
"""ONNX's number for the type int64."""


def aten_translations(opset: int) -> dict[Callable[..., Any], Callable[..., Any]]:
    """Translations for the argument ``custom_translation_table`` of torch.onnx.export."""
    import onnxscript

    op: Any = onnxscript.values.Opset("", opset)
    aten = torch.ops.aten
    return (
        _order_translations(op)
        | _running_translations(op)
        | {
            aten._cdist_forward.default: _distances(op),
            aten.copysign.Tensor: _copy_sign(op),
            aten.fmax.default: _ignoring_nan(op, op.Max),
            aten.fmin.default: _ignoring_nan(op, op.Min),
            aten.hypot.default: lambda self, other: op.Sqrt(op.Add(op.Mul(self, self), op.Mul(other, other))),
            aten.searchsorted.Tensor: _places(op),
        }
    )


def _order_translations(op: Any) -> dict[Callable[..., Any], Callable[..., Any]]:
    """Values by their place in order: the k-th smallest, and the median, the lower of two in the middle."""

    def kth_value(self: Any, k: int, dim: int = -1, keepdim: bool = False) -> tuple[Any, Any]:
        return _kth(op, self, op.Constant(value_ints=[k]), dim, keepdim)

    def half(size: Any) -> Any:
        return op.Div(op.Add(size, op.Constant(value_ints=[1])), op.Constant(value_ints=[2]))

    def median_dim(self: Any, dim: int, keepdim: bool = False) -> tuple[Any, Any]:
        axis = dim % len(self.shape)
        return _kth(op, self, half(op.Shape(self, start=axis, end=axis + 1)), dim, keepdim)

    def median(self: Any) -> Any:
        values = op.Reshape(self, op.Constant(value_ints=[-1]))
        return _kth(op, values, half(op.Shape(values)), 0, False)[0]

    aten = torch.ops.aten
    return {aten.kthvalue.default: kth_value, aten.median.dim: median_dim, aten.median.default: median}


def _kth(op: Any, x: Any, k: Any, dim: int, keepdim: bool) -> tuple[Any, Any]:
    last = op.Sub(k, op.Constant(value_ints=[1]))
    if not keepdim:
        last = op.Squeeze(last)
    values, indices = op.TopK(x, k, axis=dim, largest=0, sorted=1)
    return op.Gather(values, last, axis=dim), op.Gather(indices, last, axis=dim)


def _running_translations(op: Any) -> dict[Callable[..., Any], Callable[..., Any]]:
    """Products and extremes of all values up to each, along a dimension; work and memory grow with its square."""

    def product(self: Any, dim: int, dtype: Any = None) -> Any:
        steps = _steps(op, self, dim, 1.0)
        return op.ReduceProd(steps, op.Constant(value_ints=[dim % len(self.shape) + 1]), keepdims=0)

    def extreme(rest: float, reduce: Any, arg_reduce: Any) -> Callable[..., Any]:
        def translate(self: Any, dim: int) -> tuple[Any, Any]:
            if not self.dtype.is_floating_point():
                # integers have no infinity to begin with; to_onnx makes a refusal of it that names the operator
                raise NotImplementedError("running extremes of integers")
            steps, axis = _steps(op, self, dim, rest), dim % len(self.shape) + 1
            values = reduce(steps, op.Constant(value_ints=[axis]), keepdims=0)
            return values, arg_reduce(steps, axis=axis, keepdims=0, select_last_index=1)

        return translate

    aten = torch.ops.aten
    return {
        aten.cumprod.default: product,
        aten.cummax.default: extreme(-math.inf, op.ReduceMax, op.ArgMax),
        aten.cummin.default: extreme(math.inf, op.ReduceMin, op.ArgMin),
    }


def _steps(op: Any, x: Any, dim: int, rest: float) -> Any:
    """A new dimension in front of ``dim``: entry ``i`` has the values up to the ``i``-th, and ``rest`` behind them."""
    rank, axis = len(x.shape), dim % len(x.shape)
    zero, one = (op.Constant(value_int=value) for value in (0, 1))
    places = op.Range(zero, op.Squeeze(op.Shape(x, start=axis, end=axis + 1)), one)
    behind = [*range(1, rank - axis)]
    row = op.Unsqueeze(places, op.Constant(value_ints=behind)) if behind else places
    column = op.Unsqueeze(row, op.Constant(value_ints=[1]))
    spread = op.Unsqueeze(x, op.Constant(value_ints=[axis]))
    return op.Where(op.LessOrEqual(row, column), spread, op.CastLike(op.Constant(value_float=rest), x))


def _distances(op: Any) -> Callable[..., Any]:
    """Distances of all pairs of rows, ``[..., P, M]`` and ``[..., R, M]`` to ``[..., P, R]``."""

    def distances(x1: Any, x2: Any, p: float, compute_mode: Any = None) -> Any:
        rank = max(len(x1.shape), len(x2.shape))
        first = op.Unsqueeze(x1, op.Constant(value_ints=[len(x1.shape) - 1]))
        second = op.Unsqueeze(x2, op.Constant(value_ints=[len(x2.shape) - 2]))
        apart, last = op.Sub(first, second), op.Constant(value_ints=[rank])
        if p == 2:
            return op.ReduceL2(apart, last, keepdims=0)
        if p == 1:
            return op.ReduceL1(apart, last, keepdims=0)
        if p == math.inf:
            return op.ReduceMax(op.Abs(apart), last, keepdims=0)
        if p == 0:
            differs = op.Not(op.Equal(apart, op.CastLike(op.Constant(value_float=0.0), apart)))
            return op.ReduceSum(op.CastLike(differs, apart), last, keepdims=0)
        power, root = (op.CastLike(op.Constant(value_float=v), apart) for v in (p, 1 / p))
        return op.Pow(op.ReduceSum(op.Pow(op.Abs(apart), power), last, keepdims=0), root)

    return distances


def _copy_sign(op: Any) -> Callable[..., Any]:
    def copy_sign(self: Any, other: Any) -> Any:
        zero, one = (op.CastLike(op.Constant(value_float=value), other) for value in (0.0, 1.0))
        # 1 / -0.0 is minus infinity, which alone tells it from 0.0
        is_negative = op.Or(op.Less(other, zero), op.And(op.Equal(other, zero), op.Less(op.Div(one, other), zero)))
        size = op.Abs(self)
        return op.Where(is_negative, op.Neg(size), size)

    return copy_sign


def _ignoring_nan(op: Any, choose: Any) -> Callable[..., Any]:
    """Maximum or minimum of two tensors; where one value is NaN, the other one."""

    def translate(self: Any, other: Any) -> Any:
        return choose(op.Where(op.IsNaN(self), other, self), op.Where(op.IsNaN(other), self, other))

    return translate


def _places(op: Any) -> Callable[..., Any]:
    """Number of sorted values in front of each value."""

    def places(
        sorted_sequence: Any,
        self: Any,
        out_int32: bool = False,
        right: bool = False,
        side: str | None = None,
        sorter: Any = None,
    ) -> Any:
        if sorter is not None:  # to_onnx makes a refusal of it that names the operator
            raise NotImplementedError("searchsorted with a sorter")
        behind = op.Constant(value_ints=[len(self.shape)])
        value = op.Unsqueeze(self, behind)
        rank = len(sorted_sequence.shape)
        boundaries = sorted_sequence
        if rank > 1:
            boundaries = op.Unsqueeze(sorted_sequence, op.Constant(value_ints=[rank - 1]))
        compare = op.GreaterOrEqual if right or side == "right" else op.Greater
        count = op.ReduceSum(op.Cast(compare(value, boundaries), to=_INT64), behind, keepdims=0)
        return op.Cast(count, to=6) if out_int32 else count

    return places
