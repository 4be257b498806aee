"""Float16 for chosen nodes of an ONNX graph: their constants are rounded, casts stand around them.

onnxruntime's ``convert_float_to_float16`` rounds every constant first, scales of Q/DQ nodes included, and puts pairs of
casts between nodes that stay float32; both would cost what int8 gains.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx_ir as ir

LARGEST = float(np.finfo(np.float16).max)
FLOAT32_ALONE = frozenset({"Cast", "CastLike", "CumSum", "If", "Loop", "NonMaxSuppression", "Range", "Scan", "TopK"})
"""Operators that have no float16 form everywhere, or name a type of their own."""
FLOAT32_INPUTS = {"Resize": (1, 2), "Upsample": (1,)}
"""Operators, and the inputs of theirs that are float32 in any case."""


def to_float16(graph: ir.Graph, nodes: Iterable[ir.Node]) -> None:
    """Compute these nodes in float16; the graph's own inputs and outputs keep their types.

    Args:
        graph: its values have types, from shape inference. It is changed.
        nodes: a part of its nodes, in their order. Those that make no float32 stay as they are.
    """
    halves = _Halves(graph)
    for node in nodes:
        reads, makes = _is_float(node.inputs), _is_float(node.outputs)
        if node.op_type not in FLOAT32_ALONE and reads and makes:
            halves.compute(node)
    halves.cast_back()


class _Halves:
    """Float16 forms of float32 values.

    Attributes:
        half: the float16 form of a value that is float32, each made once.
        computed: values that are float16 now.
        nodes: what computes them.
    """

    def __init__(self, graph: ir.Graph) -> None:
        self.graph = graph
        self.half: dict[ir.Value, ir.Value] = {}
        self.computed: list[ir.Value] = []
        self.nodes: set[ir.Node] = set()

    def compute(self, node: ir.Node) -> None:
        self.nodes.add(node)
        for place, value in enumerate(node.inputs):
            if value is not None and value.dtype == ir.DataType.FLOAT and _takes_half(node, place):
                node.replace_input_with(place, self._of(value))
        for value in node.outputs:
            if value.dtype == ir.DataType.FLOAT:
                value.dtype = ir.DataType.FLOAT16
                self.computed.append(value)

    def _of(self, value: ir.Value) -> ir.Value:
        if value not in self.half:
            made = self._rounded(value) if value.is_initializer() else self._cast(value, ir.DataType.FLOAT16)
            self.half[value] = made
        return self.half[value]

    def _rounded(self, value: ir.Value) -> ir.Value:
        """A constant in float16; what is finite stays so, as masks of the largest float32 must."""
        assert value.const_value is not None
        numbers = value.const_value.numpy()
        finite = np.where(np.isfinite(numbers), np.clip(numbers, -LARGEST, LARGEST), numbers).astype(np.float16)
        made = ir.Value(
            name=f"{value.name}_float16",
            type=ir.TensorType(ir.DataType.FLOAT16),
            shape=value.shape,
            const_value=ir.tensor(finite, name=f"{value.name}_float16"),
        )
        self.graph.register_initializer(made)
        return made

    def _cast(self, value: ir.Value, to: ir.DataType) -> ir.Value:
        name = f"{value.name}_{to.name.lower()}"
        node = ir.node("Cast", [value], {"to": int(to)}, name=f"{name}_cast")
        made = node.outputs[0]
        made.name, made.dtype, made.shape = name, to, value.shape
        producer = value.producer()
        if producer is None:
            self.graph.insert_before(self.graph[0], node)
        else:
            self.graph.insert_after(producer, node)
        return made

    def cast_back(self) -> None:
        """Float32 for nodes that stay so, and for the graph's outputs, which keep their names."""
        for value in self.computed:
            readers = [use for use in value.uses() if use.node not in self.nodes or not _takes_half(*use)]
            if not readers and value not in self.graph.outputs:
                continue
            back = self._cast(value, ir.DataType.FLOAT)
            for reader, place in readers:
                reader.replace_input_with(place, back)
            for place, output in enumerate(self.graph.outputs):
                if output is value:
                    self.graph.outputs[place] = back
                    value.name, back.name = f"{value.name}_float16", value.name


def _is_float(values: Iterable[ir.Value | None]) -> bool:
    kinds = (ir.DataType.FLOAT, ir.DataType.FLOAT16)
    return any(value is not None and value.dtype in kinds for value in values)


def _takes_half(node: ir.Node, place: int) -> bool:
    return place not in FLOAT32_INPUTS.get(node.op_type, ())
