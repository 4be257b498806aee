"""Rows of a LOWERED graph: weights of 8 or 4 bits, or half precision, with float activations; and dynamic int8.

Products of stored integers and floats have the width of the floats. Layers that quantize their own input multiply 8
bits.
"""

from __future__ import annotations

import math

from torch import Tensor, fx, nn

from ..graph.shapes import shape_of
from ..precision.dynamic import DynamicLinear
from ..precision.recurrent_layers import DynamicGRU, DynamicLSTM
from ..precision.stored_recurrent import WeightOnlyRecurrent
from ..precision.weight_only import WeightOnlyLinear
from .float_rows import FloatRows
from .rows import Row, Widths
from .storage import Stored, plain
from .work import Work

_DYNAMIC = (DynamicLinear, DynamicLSTM, DynamicGRU)
_BITS = 8


def lowered_rows(gm: fx.GraphModule, widths: Widths) -> tuple[list[Row], list[str]]:
    """Rows of a LOWERED graph in order, and the operators without a rule."""
    floats = FloatRows(gm, widths)
    rows = []
    for node in gm.graph.nodes:
        module = gm.get_submodule(str(node.target)) if node.op == "call_module" else None
        if isinstance(module, (WeightOnlyLinear, WeightOnlyRecurrent, *_DYNAMIC)):
            rows.append(_row(node, module, floats))
        elif (row := floats.row(node)) is not None:
            rows.append(row)
    return rows, floats.uncounted


def _row(node: fx.Node, module: nn.Module, floats: FloatRows) -> Row:
    matrices = [b for b in module.buffers() if not b.dtype.is_floating_point and b.dim() > 1]
    weights = int(module.weights) if isinstance(module, WeightOnlyLinear) else sum(b.numel() for b in matrices)
    source = node.all_input_nodes[0]
    shape = shape_of(source) or (1,)
    macs = weights * max(math.prod(shape[:-1]) // floats.batch, 1)
    bits = _BITS if isinstance(module, _DYNAMIC) else floats.input_bits(node)
    work = Work(macs, bits, macs, macs=macs)
    if not isinstance(module, (WeightOnlyLinear, DynamicLinear)):
        floats.not_counted("what recurrent computes beside its products")
    return Row(node.name, type(module).__name__, _stored(module), (work,))


def _stored(module: nn.Module) -> tuple[Stored, ...]:
    """All buffers; packed integers count with their own width."""
    found: tuple[Stored, ...] = ()
    for name, value in module.named_buffers():
        found += _packed(module, value) if _is_packed(module, name) else plain(name, value)
    return found


def _is_packed(module: nn.Module, name: str) -> bool:
    return isinstance(module, WeightOnlyLinear) and name == "weight"


def _packed(module: nn.Module, value: Tensor) -> tuple[Stored, ...]:
    assert isinstance(module, WeightOnlyLinear)
    return (Stored("weight", module.weights, module.weights, module.bits),)
