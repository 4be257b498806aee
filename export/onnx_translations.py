"""How the operators of a QUANTIZED graph are spelled in ONNX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fxpasses.quantization import ops


def translations(opset: int) -> dict[Callable[..., Any], Callable[..., Any]]:
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

    return {
        ops.quantize: quantize,
        ops.dequantize: dequantize,
        ops.dequantize_per_channel: dequantize_per_channel,
    }
