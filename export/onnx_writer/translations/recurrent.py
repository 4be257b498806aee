"""Translations of the recurrent operators of LOWERED graphs to ONNX.

``lstm_dynamic`` is onnxruntime's com.microsoft::DynamicQuantizeLSTM. ``gru_dynamic`` is a Scan over the steps, whose
body multiplies by DynamicQuantizeLinear and MatMulInteger; onnxruntime fuses these into one kernel there, too.
``lstm_stored`` and ``gru_stored`` are the standard LSTM and GRU, after products that compute their float weights.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxscript

from fxpasses.precision import recurrent_ops, stored_ops

_MICROSOFT = "com.microsoft"
_FLOAT = onnx.TensorProto.FLOAT
_SCHEMA = onnx.defs.OpSchema
_OPTIONAL = _SCHEMA.FormalParameterOption.Optional


def recurrent_translations(opset: int) -> dict[Callable[..., Any], Callable[..., Any]]:
    """Translations of recurrent operators for the argument ``custom_translation_table`` of torch.onnx.export."""
    standard = onnxscript.values.Opset("", opset)
    op: Any = standard
    lstm: Any = onnxscript.values.Op(onnxscript.values.Opset(_MICROSOFT, 1), "DynamicQuantizeLSTM", _lstm_schema())
    names = (f"gru_step_{count}" for count in itertools.count(1))
    scan: Any = onnxscript.values.Op(standard, "Scan", _scan_schema(opset))

    def lstm_dynamic(x: Any, h: Any, c: Any, weight: Any, w_scale: Any, state: Any, r_scale: Any, bias: Any) -> Any:
        directions, hidden, gates = (int(size) for size in state.shape)
        direction = "bidirectional" if directions == 2 else "forward"
        zero = op.Constant(value=ir.tensor(np.zeros((directions, gates), np.int8)))
        inputs = (x, weight, state, bias, None, h, c, None, w_scale, zero, r_scale, zero)
        y, h_last, c_last = lstm(*inputs, hidden_size=hidden, direction=direction)
        return _joined(op, y, directions * hidden), h_last, c_last

    def gru_dynamic(
        x: Any, h: Any, weight: Any, w_scale: Any, w_bias: Any, state: Any, r_scale: Any, r_bias: Any, backwards: bool
    ) -> Any:
        q, x_scale, zero_point = op.DynamicQuantizeLinear(x)
        sums = op.Cast(op.MatMulInteger(q, weight, zero_point), to=_FLOAT)
        gates = op.Add(op.Mul(sums, op.Mul(x_scale, w_scale)), w_bias)
        direction = [int(backwards)]
        body = _gru_step(next(names), int(state.shape[0]), state, r_scale, r_bias)
        last, y = scan(
            h, gates, body=body, num_scan_inputs=1, scan_input_directions=direction, scan_output_directions=direction
        )
        return y, last

    return {recurrent_ops.lstm_dynamic: lstm_dynamic, recurrent_ops.gru_dynamic: gru_dynamic, **_stored(op)}


def _stored(op: Any) -> dict[Callable[..., Any], Callable[..., Any]]:
    """Translations of layers with stored int8 weights; onnxruntime folds the products when it loads the file."""

    def unpacked(weight: Any, w_scale: Any, state: Any, r_scale: Any) -> tuple[Any, Any, dict[str, Any], int]:
        directions, _, hidden = (int(size) for size in state.shape)
        settings = {"hidden_size": hidden, "direction": "bidirectional" if directions == 2 else "forward"}
        floats = [op.Mul(op.Cast(q, to=_FLOAT), scale) for q, scale in ((weight, w_scale), (state, r_scale))]
        return *floats, settings, directions * hidden

    def lstm_stored(x: Any, h: Any, c: Any, weight: Any, w_scale: Any, state: Any, r_scale: Any, bias: Any) -> Any:
        w, r, settings, width = unpacked(weight, w_scale, state, r_scale)
        y, h_last, c_last = op.LSTM(x, w, r, bias, None, h, c, **settings)
        return _joined(op, y, width), h_last, c_last

    def gru_stored(x: Any, h: Any, weight: Any, w_scale: Any, state: Any, r_scale: Any, bias: Any) -> Any:
        w, r, settings, width = unpacked(weight, w_scale, state, r_scale)
        y, last = op.GRU(x, w, r, bias, None, h, **settings, linear_before_reset=1)
        return _joined(op, y, width), last

    return {stored_ops.lstm_stored: lstm_stored, stored_ops.gru_stored: gru_stored}


def _joined(op: Any, y: Any, width: int) -> Any:
    """Reshape ``[T, D, B, H]`` to ``[T, B, D * H]``: torch's last dimension contains the directions."""
    return op.Reshape(op.Transpose(y, perm=(0, 2, 1, 3)), op.Constant(value_ints=[0, 0, width]))


def _gru_step(name: str, hidden: int, weight: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Graph:
    """Graph of one step: inputs are the state ``h`` and the input's part of the gates; it gives the new state twice.

    It reads weights from the outer graph, so none of its tensors may have the name of one there: ``name`` is unique.
    """
    h, gates = (ir.Value(name=f"{name}_{n}", type=ir.TensorType(ir.DataType.FLOAT)) for n in ("h", "gates"))
    h.shape, gates.shape = ir.Shape([None, hidden]), ir.Shape([None, 3 * hidden])
    nodes: list[ir.Node] = []

    def add(op: str, *inputs: ir.Value, outputs: int = 1, **attributes: Any) -> Sequence[ir.Value]:
        nodes.append(ir.node(op, inputs, attributes, num_outputs=outputs))
        for output in nodes[-1].outputs:
            output.name = f"{name}_{len(nodes)}_{output.index()}"
        return nodes[-1].outputs

    def one(op: str, *inputs: ir.Value, **attributes: Any) -> ir.Value:
        return add(op, *inputs, **attributes)[0]

    q, h_scale, zero_point = add("DynamicQuantizeLinear", h, outputs=3)
    sums = one("Cast", one("MatMulInteger", q, weight, zero_point), to=_FLOAT)
    own = one("Add", one("Mul", sums, one("Mul", h_scale, scale)), bias)
    own_reset, own_update, own_new = add("Split", own, outputs=3, axis=-1, num_outputs=3)
    reset, update, new = add("Split", gates, outputs=3, axis=-1, num_outputs=3)
    kept = one("Mul", one("Sigmoid", one("Add", reset, own_reset)), own_new)
    n = one("Tanh", one("Add", new, kept))
    step = one("Mul", one("Sigmoid", one("Add", update, own_update)), one("Sub", h, n))
    following = one("Add", n, step)
    return ir.Graph([h, gates], [following, one("Identity", following)], nodes=nodes, name=name)


def _lstm_schema() -> onnx.defs.OpSchema:
    """Schema of onnxruntime's DynamicQuantizeLSTM: onnx does not know its domain, but the exporter needs a schema."""
    inputs = [("X", "T"), ("W", "T2"), ("R", "T2")]
    left_out = [("B", "T"), ("sequence_lens", "T1"), ("initial_h", "T"), ("initial_c", "T"), ("P", "T")]
    scales = [("W_scale", "T"), ("W_zero_point", "T2"), ("R_scale", "T"), ("R_zero_point", "T2")]
    parameter = _SCHEMA.FormalParameter
    return _SCHEMA(
        "DynamicQuantizeLSTM",
        _MICROSOFT,
        1,
        inputs=[
            *(parameter(name, kind) for name, kind in inputs),
            *(parameter(name, kind, param_option=_OPTIONAL) for name, kind in left_out),
            *(parameter(name, kind) for name, kind in scales),
        ],
        outputs=[parameter(name, "T") for name in ("Y", "Y_h", "Y_c")],
        type_constraints=[
            ("T", ["tensor(float)"], ""),
            ("T1", ["tensor(int32)"], ""),
            ("T2", ["tensor(uint8)", "tensor(int8)"], ""),
        ],
        attributes=[
            _SCHEMA.Attribute("hidden_size", _SCHEMA.AttrType.INT, "", required=True),
            _SCHEMA.Attribute("direction", _SCHEMA.AttrType.STRING, "", required=True),
        ],
    )


def _scan_schema(opset: int) -> onnx.defs.OpSchema:
    """A schema of Scan with one state and one sequence: ONNX's own does not fix the number of outputs."""
    kinds = {"body": "GRAPH", "num_scan_inputs": "INT"}
    kinds |= dict.fromkeys(("scan_input_directions", "scan_output_directions"), "INTS")
    parameter = _SCHEMA.FormalParameter
    return _SCHEMA(
        "Scan",
        "",
        opset,
        inputs=[parameter(name, "V") for name in ("initial_state", "scan_input")],
        outputs=[parameter(name, "V") for name in ("final_state", "scan_output")],
        type_constraints=[("V", ["tensor(float)"], "")],
        attributes=[_SCHEMA.Attribute(n, getattr(_SCHEMA.AttrType, k), "", required=True) for n, k in kinds.items()],
    )
