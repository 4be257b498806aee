"""Translations of the operators of QUANTIZED graphs to ONNX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fxpasses.graph import binary_ops
from fxpasses.quantization.numbers import ops
from fxpasses.quantization.selection.first_topk import first_topk

_INT64 = 7
"""ONNX's number for the type int64."""


def quantized_translations(opset: int) -> dict[Callable[..., Any], Callable[..., Any]]:
    """The exporter's custom translation table for ``fxpasses::*``, for one opset."""
    import onnxscript

    op: Any = onnxscript.values.Opset("", opset)

    def quantize(x: Any, scale: float, zero_point: int, dtype: int) -> Any:
        zero = op.Cast(op.Constant(value_int=zero_point), to=dtype)
        return op.QuantizeLinear(x, op.Constant(value_float=scale), zero)

    def dequantize(q: Any, scale: float, zero_point: int) -> Any:
        zero = op.CastLike(op.Constant(value_int=zero_point), q)
        return op.DequantizeLinear(q, op.Constant(value_float=scale), zero)

    def dequantize_per_channel(q: Any, scale: Any, axis: int) -> Any:
        return op.DequantizeLinear(q, scale, axis=axis)

    def topk(x: Any, k: Any, dim: int = -1, largest: bool = True) -> tuple[Any, Any]:
        count = op.Reshape(op.Cast(k, to=_INT64), op.Constant(value_ints=[1]))
        values, indices = op.TopK(x, count, axis=dim, largest=int(largest), sorted=1)
        return values, indices

    return {
        first_topk: topk,
        binary_ops.sign: _sign(op),
        ops.pixels: _pixels(op),
        ops.quantize: quantize,
        ops.dequantize: dequantize,
        ops.dequantize_per_channel: dequantize_per_channel,
    }


def _pixels(op: Any) -> Callable[..., Any]:
    def pixels(
        x: Any, factor: list[float], offset: list[float], rest: float, channels: int, spread: bool = False
    ) -> Any:
        by_channel = op.Constant(value_ints=[1, -1, 1, 1])
        scaled = op.Mul(x, op.Reshape(op.Constant(value_floats=list(factor)), by_channel))
        moved = op.Add(scaled, op.Reshape(op.Constant(value_floats=list(offset)), by_channel))
        if spread:
            apart = op.Unsqueeze(moved, op.Constant(value_ints=[2]))
            pads = op.Constant(value_ints=[0, 0, 0, 0, 0, 0, channels // 2 - len(factor), 1, 0, 0])
            padded = op.Pad(apart, pads, op.Constant(value_float=rest))
            size = list(x.shape or ())[2:]
            if size and all(isinstance(length, int) for length in size):
                return op.Reshape(padded, op.Constant(value_ints=[-1, channels, *size]))
            size = op.Shape(moved, start=2)
            return op.Reshape(padded, op.Concat(op.Constant(value_ints=[-1, channels]), size, axis=0))
        pads = op.Constant(value_ints=[0, 0, 0, 0, 0, channels - len(factor), 0, 0])
        return op.Pad(moved, pads, op.Constant(value_float=rest))

    return pixels


def _sign(op: Any) -> Callable[..., Any]:
    """Translate ``sign`` as a comparison: ONNX's Sign gives 0 for 0."""

    def sign(x: Any, smooth: bool = False) -> Any:
        zero, one, minus_one = (op.Constant(value_float=value) for value in (0.0, 1.0, -1.0))
        return op.Where(op.GreaterOrEqual(x, zero), one, minus_one)

    return sign
