"""Store equal int8 weights once: a head that a detector runs on five maps has the same integers for each.

Only in files that need no session option (:mod:`fxpasses.export.exact_sums`): with ``session.x64quantprecision``
onnxruntime fails where two layers share a weight, and :mod:`.own_weights` gives each its own. The results are the same.
"""

from __future__ import annotations

import hashlib

import onnx_ir as ir


def share_weights(model: ir.Model) -> None:
    """Let every DequantizeLinear of equal int8 weights read the first of them; ``model`` is changed in place."""
    first: dict[tuple[tuple[int, ...], bytes], ir.Value] = {}
    for node in model.graph:
        weight = node.inputs[0] if node.op_type == "DequantizeLinear" else None
        if weight is None or weight.const_value is None or weight.dtype is not ir.DataType.INT8:
            continue
        if len(weight.const_value.shape) > 1:
            values = weight.const_value.numpy()
            kept = first.setdefault((values.shape, hashlib.sha256(values.tobytes()).digest()), weight)
            if kept is not weight:
                node.replace_input_with(0, kept)
