"""Kernels on x86 other than layers and pools: add, cat, mul, tables, moves, and the conversion to float."""

from __future__ import annotations

import math

import torch
from torch import Tensor, fx

from fxpasses.graph.meta_keys import SHAPE
from fxpasses.quantization.int8.int8_calls import Int8Call, qparams_of
from fxpasses.quantization.int8.scales import table_of
from fxpasses.quantization.numbers import ops

from .. import quint8
from ..kernel import Call, Kernel, Script
from ..reference import ReferenceKernel, integer_table, move_integers


class Exit(Kernel):
    """Kernel that converts integers to float32."""

    def __init__(self, node: fx.Node) -> None:
        super().__init__()
        self.q = qparams_of(node)

    def forward(self, q: Tensor) -> Tensor:
        if q.dtype is torch.quint8:
            return q.dequantize()
        return q.to(torch.float32).sub_(self.q.zero_point).mul_(self.q.scale)


class OnBytes(Kernel):
    """Wrapper of another kernel that passes it plain tensors."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__()
        self._compute = kernel.function

    def forward(self, *inputs: Tensor) -> Tensor:
        y: Tensor = self._compute(*(quint8.as_bytes(q) for q in inputs))
        return y


class ByteAdd(Kernel):
    """Sum of two tensors of the same shape; saturation replaces a ReLU."""

    def __init__(self, call: Int8Call) -> None:
        super().__init__()
        self.x, self.y = call.x, call.y
        with quint8.building():
            self.add = quint8.without_dispatch(torch.ops.quantized.add.default)

    @property
    def script(self) -> Script:
        return Script(tuple(self.x), (Call("quantized.add", (self.y.scale, self.y.zero_point)),))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        total: Tensor = self.add(
            quint8.as_quint8(a, self.x[0]), quint8.as_quint8(b, self.x[1]), self.y.scale, self.y.zero_point
        )
        return total


class ByteCat(Kernel):
    """Concatenation of tensors, each rescaled to the output's parameters."""

    def __init__(self, call: Int8Call) -> None:
        super().__init__()
        self.dim = int(call.settings.get("dim", 0))
        self.x, self.y = call.x, call.y
        self.equal = all(x == call.y for x in call.x)
        with quint8.building():
            self.cat = quint8.without_dispatch(torch.ops.quantized.cat.default)

    @property
    def script(self) -> Script | None:
        if self.equal:
            return None
        call = Call("quantized.cat", (self.dim, self.y.scale, self.y.zero_point))
        return Script(tuple(self.x), (call,), as_list=True)

    def forward(self, *parts: Tensor) -> Tensor:
        if self.equal:
            return torch.cat([quint8.as_bytes(p) for p in parts], self.dim)
        views = [quint8.as_quint8(p, x) for p, x in zip(parts, self.x, strict=True)]
        joined: Tensor = self.cat(views, self.dim, self.y.scale, self.y.zero_point)
        return joined


class Table(Kernel):
    """An elementwise operator as a table of its 256 results; for large tensors two neighbours are looked up at once.

    A table of pairs is not in the caches at the beginning of a call. Random reads would each wait for memory,
    so the table is read in order first.
    """

    def __init__(self, call: Int8Call, table: Tensor | None = None) -> None:
        super().__init__()
        # no buffers: a module finds them only after an AttributeError, which takes as long as an operator
        self.table = integer_table(call) if table is None else table
        large = math.prod(call.inputs[0].meta[SHAPE][1:]) >= _WORTH_PAIRS
        self.pairs = _table_of_pairs(self.table) if large else None

        self.x, self.y, self.is_tiny = call.x[0], call.y, math.prod(call.inputs[0].meta[SHAPE][1:]) <= quint8.TINY

    @property
    def script(self) -> Script | None:
        if not self.is_tiny or self.y.grid.dtype is not torch.uint8:
            return None
        calls = [
            Call("aten.int_repr"),
            Call(look_up, (self.table,)),
            Call("aten._make_per_tensor_quantized_tensor", (self.y.scale, self.y.zero_point)),
        ]
        return Script((self.x,), tuple(calls), begins=False)

    def forward(self, q: Tensor) -> Tensor:
        count = q.numel()
        q = quint8.as_bytes(q)
        # for small tensors, whose calls take longer than the work, and in traces, which fix counts and strides
        if (count <= quint8.TINY and q.is_contiguous()) or quint8.is_traced():
            return look_up(q, self.table)
        dense = q if q.is_contiguous() or q.is_contiguous(memory_format=torch.channels_last) else q.contiguous()
        # index_select walks memory in order, and the result takes the layout of the input
        flat = torch.as_strided(dense, (count,), (1,), dense.storage_offset())
        if self.pairs is not None and count % 2 == 0 and dense.storage_offset() % 2 == 0:
            self.pairs.view(torch.int64).sum()
            found = self.pairs.index_select(0, flat.view(torch.uint16).to(torch.int32)).view(self.table.dtype)
        else:
            found = self.table.index_select(0, flat.to(torch.int32))
        return torch.as_strided(found, dense.shape, dense.stride())


def look_up(levels: Tensor, table: Tensor) -> Tensor:
    # also compiled by TorchScript
    return torch.take(table, levels.to(torch.int64))


class ByteHardswish(Kernel):
    """Hardswish by ATen's kernel, which needs one pass; a table needs two."""

    def __init__(self, call: Int8Call) -> None:
        super().__init__()
        self.x, self.y = call.x[0], call.y
        self.hardswish = quint8.without_dispatch(torch.ops.quantized.hardswish.default)

    @property
    def script(self) -> Script:
        return Script((self.x,), (Call("quantized.hardswish", (self.y.scale, self.y.zero_point)),))

    def forward(self, q: Tensor) -> Tensor:
        y: Tensor = self.hardswish(quint8.as_quint8(q, self.x), self.y.scale, self.y.zero_point)
        return y

    @classmethod
    def if_exact(cls, call: Int8Call) -> ByteHardswish | None:
        """The kernel, if it gives the table's result for every byte, in full vectors and in their remainders."""
        with quint8.building():
            kernel, table = cls(call), integer_table(call)
            levels = torch.arange(256, dtype=torch.int32).to(torch.uint8)
            whole, few = kernel(levels), torch.cat([quint8.as_bytes(kernel(some)) for some in levels.split(5)])
        return kernel if torch.equal(quint8.as_bytes(whole), table) and torch.equal(few, table) else None


_WORTH_PAIRS = 1 << 14
"""Fewest values per sample for a table of pairs, which takes two thirds of the time and 128 KB."""


def _table_of_pairs(table: Tensor) -> Tensor:
    """Results for two neighbours by their 16 bits in memory, in either byte order, as int16 ``[65536]``."""
    both = torch.arange(1 << 16, dtype=torch.int32).to(torch.uint16).view(torch.uint8)
    return table.index_select(0, both.to(torch.int32)).view(torch.int16)


class ByteMul(Kernel):
    """Product of two tensors; the smaller one is broadcast, as in squeeze and excitation."""

    def __init__(self, call: Int8Call) -> None:
        super().__init__()
        with quint8.building():
            pass
        self.x, self.y = call.x, call.y

    @property
    def script(self) -> Script:
        return Script(tuple(self.x), (Call(multiply, (self.y.scale, self.y.zero_point)),), begins=False)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return multiply(quint8.as_quint8(a, self.x[0]), quint8.as_quint8(b, self.x[1]), self.y.scale, self.y.zero_point)

    @classmethod
    def if_exact(cls, call: Int8Call) -> ByteMul | None:
        """The kernel, if no product of two bytes is so near a tie that floats may round it to the other side."""
        a, b = (torch.arange(256, dtype=torch.float64) - x.zero_point for x in call.x)
        steps = torch.outer(a, b) * (call.x[0].scale * call.x[1].scale / call.y.scale)
        from_tie = (steps - steps.floor() - 0.5).abs()
        grid, zero_point = call.y.grid, call.y.zero_point
        saturates = (steps < grid.low - zero_point - 1) | (steps > grid.high - zero_point + 1)
        return cls(call) if bool((saturates | (from_tie > _FLOAT_ERROR * steps.abs())).all()) else None


_FLOAT_ERROR = 6 * 2.0**-24
"""Largest relative error: two factors, their product, the inverse of the scale and the quotient are rounded."""


def multiply(a: Tensor, b: Tensor, scale: float, zero_point: int) -> Tensor:
    # also compiled by TorchScript
    return torch.quantize_per_tensor(torch.dequantize(a) * torch.dequantize(b), scale, zero_point, torch.quint8)


class Move(Kernel):
    """Pads, and operators without a byte kernel that only move values."""

    def __init__(self, call: Int8Call) -> None:
        super().__init__()
        self.call = call

    def forward(self, q: Tensor) -> Tensor:
        return move_integers(self.call, quint8.as_bytes(q))


class Flatten(Kernel):
    """Flatten dimensions; no value changes."""

    def __init__(self, call: Int8Call) -> None:
        super().__init__()
        self.x = call.x[0]
        self.dims = (int(call.settings.get("start_dim", 0)), int(call.settings.get("end_dim", -1)))

    @property
    def script(self) -> Script:
        return Script((self.x,), (Call("aten.flatten", self.dims),), begins=False)

    def forward(self, q: Tensor) -> Tensor:
        return torch.flatten(q, *self.dims)


def is_gated(call: Int8Call) -> bool:
    """Whether a product multiplies a tensor by its own sigmoid, as SiLU does."""
    x, gate = call.inputs
    source = gate.args[0] if gate.target is ops.quantize else None
    return isinstance(source, fx.Node) and source.target is torch.sigmoid and source.all_input_nodes[0].args[0] is x


class GatedTable(Table):
    """``x * sigmoid(x)`` as a table of its 256 results: both factors depend on one byte."""

    reads = 1
    """Number of inputs: the sigmoid is not needed."""

    def __init__(self, call: Int8Call) -> None:
        x, (_, gate) = call.x, call.inputs
        grid = x[0].grid
        levels = torch.arange(grid.low, grid.high + 1).to(grid.dtype)
        of_gate = ops.quantize(table_of(gate.all_input_nodes[0], x[0]), x[1].scale, x[1].zero_point, x[1].grid.dtype)
        super().__init__(call, ReferenceKernel(call)(levels, of_gate))
