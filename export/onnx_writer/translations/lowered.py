"""Translations of the operators of LOWERED graphs to ONNX.

``matmul_nbits`` is onnxruntime's com.microsoft::MatMulNBits; ``matmul_dynamic`` becomes DynamicQuantizeLinear and
MatMulInteger, which onnxruntime fuses into one kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
import onnxscript

from fxpasses.precision import ops

_MICROSOFT = "com.microsoft"


def lowered_translations(opset: int) -> dict[Callable[..., Any], Callable[..., Any]]:
    """Translations of LOWERED operators for the argument ``custom_translation_table`` of torch.onnx.export."""
    op: Any = onnxscript.values.Opset("", opset)
    mat_mul_nbits: Any = onnxscript.values.Op(onnxscript.values.Opset(_MICROSOFT, 1), "MatMulNBits", _nbits_schema())

    def matmul_nbits(x: Any, packed: Any, scale: Any, k: int, bits: int, accuracy_level: int) -> Any:
        outputs, _, length = packed.shape
        block = int(length) * 8 // bits
        return mat_mul_nbits(
            x, packed, scale, K=k, N=int(outputs), bits=bits, block_size=block, accuracy_level=accuracy_level
        )

    def matmul_dynamic(x: Any, weight: Any, weight_sums: Any, scale: Any) -> Any:
        q, x_scale, zero_point = op.DynamicQuantizeLinear(x)
        sums = op.Cast(op.MatMulInteger(q, weight, zero_point), to=onnx.TensorProto.FLOAT)
        return op.Mul(sums, op.Mul(x_scale, scale))

    return {ops.matmul_nbits: matmul_nbits, ops.matmul_dynamic: matmul_dynamic}


def _nbits_schema() -> onnx.defs.OpSchema:
    """Schema of onnxruntime's MatMulNBits: onnx does not know its domain, but the exporter needs a schema."""
    schema = onnx.defs.OpSchema
    inputs = [("A", "T1"), ("B", "T2"), ("scales", "T1")]
    attributes = ("K", "N", "bits", "block_size", "accuracy_level")
    return schema(
        "MatMulNBits",
        _MICROSOFT,
        1,
        inputs=[schema.FormalParameter(name, kind) for name, kind in inputs],
        outputs=[schema.FormalParameter("Y", "T1")],
        type_constraints=[("T1", ["tensor(float)"], ""), ("T2", ["tensor(uint8)"], "")],
        attributes=[schema.Attribute(name, schema.AttrType.INT, "", required=True) for name in attributes],
    )
