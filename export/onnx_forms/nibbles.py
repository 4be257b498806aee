"""Store weights of at most four bits two to a byte.

A ``Cast(int4 -> int8)`` precedes their readers, and a product with the multiples of their groups, if they have groups
(:mod:`fxpasses.quantization.numbers.weight_groups`). onnxruntime folds these when it loads the file, so kernels and
integers are the same as with bytes. INT4 exists from opset 21 on.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor, fx

from fxpasses.graph.stages import config_of
from fxpasses.quantization.config import QuantConfig
from fxpasses.quantization.numbers import ops
from fxpasses.quantization.numbers.qparams import IntType
from fxpasses.quantization.numbers.weight_groups import common_multiples, group_length
from fxpasses.quantization.rounding.learned_integers import buffer_of

from .edit import add_constant

NIBBLE_OPSET = 21
NIBBLES = IntType(torch.int8, -8, 7)
SMALLEST = 256
"""Fewest weights of a tensor for which half bytes save more than the Cast costs."""
SMALLEST_IN_GROUPS = 2048
"""Fewest weights of a tensor with multiples for which half bytes save more than the extra nodes cost."""


def has_nibbles(gm: fx.GraphModule) -> bool:
    """Whether a QUANTIZED graph has a weight of at most four bits that is large enough to gain."""
    weights = [n.args[0] for n in gm.graph.nodes if n.target is ops.dequantize_per_channel]
    buffers = [buffer_of(gm, node) for node in weights]
    large = [b for b in buffers if b.element_size() == 1 and b.numel() >= SMALLEST]
    return any(_taken_apart(b, group_size_of(gm)) is not None for b in large)


def group_size_of(gm: fx.GraphModule) -> int | None:
    """The group size with which a QUANTIZED graph was made."""
    config: QuantConfig = config_of(gm)
    return config.group_size


def pack_nibbles(model: ir.Model, group_size: int | None) -> None:
    """Store all int8 weights that fit as INT4, in place."""
    for name, stored in list(model.graph.initializers.items()):
        if stored.dtype != ir.DataType.INT8 or stored.const_value is None or stored.const_value.size < SMALLEST:
            continue
        integers = torch.from_numpy(stored.const_value.numpy().copy())
        parts, is_turned = _taken_apart(integers, group_size), False
        if parts is None and integers.dim() == 2:  # some products read a linear layer's transposed weight
            parts, is_turned = _taken_apart(integers.t().contiguous(), group_size), True
        if parts is not None:
            shape = list(integers.t().shape if is_turned else integers.shape)
            unpacked = _unpack(model, name, parts, shape, is_turned)
            ir.convenience.replace_all_uses_with(stored, unpacked)
            del model.graph.initializers[name]


def _taken_apart(integers: Tensor, group_size: int | None) -> tuple[Tensor, Tensor | None] | None:
    """Four-bit integers for each weight, and the multiples of their groups (None if the weights themselves fit)."""
    if int(integers.min()) >= NIBBLES.low and int(integers.max()) <= NIBBLES.high:
        return integers, None
    if group_size is None or integers.dim() < 2 or integers.numel() < SMALLEST_IN_GROUPS:
        return None
    rows = integers.flatten(1)
    return common_multiples(rows, NIBBLES, group_length(rows.shape[1], group_size))


def _unpack(
    model: ir.Model, name: str, parts: tuple[Tensor, Tensor | None], shape: list[int], is_turned: bool
) -> ir.Value:
    """Nodes, before all others, that compute int8 weights from their parts."""
    integers, multiples = parts
    nodes: list[ir.Node] = []

    def then(operator: str, *inputs: ir.Value, **attributes: int | list[int]) -> ir.Value:
        node = ir.node(operator, inputs, attributes, name=f"{name}_unpack_{len(nodes)}")
        node.outputs[0].name = f"{name}_int8_{len(nodes)}"
        nodes.append(node)
        return node.outputs[0]

    def stored(what: str, value: np.ndarray) -> ir.Value:
        return add_constant(model, f"{name}_{what}", value)

    if multiples is None:
        found = then("Cast", stored("int4", _as(integers, ir.DataType.INT4)), to=ir.DataType.INT8)
    else:  # onnxruntime multiplies no int8
        by_group = integers.unflatten(1, (multiples.shape[1], -1))
        q = then("Cast", stored("int4", _as(by_group, ir.DataType.INT4)), to=ir.DataType.INT32)
        m = then("Cast", stored("multiples", _as(multiples.unsqueeze(2), ir.DataType.UINT4)), to=ir.DataType.INT32)
        product = then("Cast", then("Mul", q, m), to=ir.DataType.INT8)
        found = then("Reshape", product, stored("shape", np.array(shape, np.int64)))
    if is_turned:
        found = then("Transpose", found, perm=[1, 0])
    model.graph.insert_before(model.graph[0], nodes)
    return found


def _as(value: Tensor, dtype: ir.DataType) -> np.ndarray:
    return value.numpy().astype(dtype.numpy())
