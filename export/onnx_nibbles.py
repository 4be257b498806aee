"""Weights of four bits or fewer, stored two to a byte.

``Cast(int4 -> int8)`` stands before whatever reads them: onnxruntime folds it when it loads the file, so that kernels
and integers are those of the file with bytes. INT4 is of opset 21.
"""

from __future__ import annotations

import onnx_ir as ir
from torch import fx

from fxpasses.quantization import ops
from fxpasses.quantization.learned_integers import buffer_of

from .onnx_edit import add_constant

NIBBLE_OPSET = 21
LOW, HIGH = -8, 7
SMALLEST = 256
"""Weights to a tensor below which the Cast costs more than the nibbles save."""


def has_nibbles(gm: fx.GraphModule) -> bool:
    """Whether a QUANTIZED graph has a weight that fits into four bits, and is large enough to gain."""
    weights = [n.args[0] for n in gm.graph.nodes if n.target is ops.dequantize_per_channel]
    buffers = [buffer_of(gm, node) for node in weights]
    large = [b for b in buffers if b.element_size() == 1 and b.numel() >= SMALLEST]
    return any(int(b.min()) >= LOW and int(b.max()) <= HIGH for b in large)


def pack_nibbles(model: ir.Model) -> None:
    """Store, in place, all int8 weights that fit as INT4."""
    for name, stored in list(model.graph.initializers.items()):
        if stored.dtype != ir.DataType.INT8 or stored.const_value is None or stored.const_value.size < SMALLEST:
            continue
        integers = stored.const_value.numpy()
        if integers.min() < LOW or integers.max() > HIGH:
            continue
        packed = add_constant(model, f"{name}_int4", integers.astype(ir.DataType.INT4.numpy()))
        cast = ir.node("Cast", [packed], {"to": ir.DataType.INT8}, name=f"{name}_unpack")
        cast.outputs[0].name = f"{name}_int8"
        ir.convenience.replace_all_uses_with(stored, cast.outputs[0])
        model.graph.insert_before(model.graph[0], cast)
        del model.graph.initializers[name]
