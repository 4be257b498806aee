"""Write parts of a tensor whose sizes the graph computes, as of a batch in two halves, as slices.

The exporter writes ``SplitToSequence`` and ``SequenceAt``, which onnxscript's folding of constants fails on where the
size is a scalar that is not known, and which onnxruntime fuses with nothing. The results are the same.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from .edit import add_constant, take_place


def slice_splits(model: ir.Model) -> None:
    """Rewrite every such split whose parts are taken by number; ``model`` is changed in place."""
    for node in list(model.graph):
        if node.op_type == "SplitToSequence" and len(node.inputs) > 1 and not _is_constant(node.inputs[1]):
            readers = [user for user, _ in node.outputs[0].uses()]
            numbers = [_number(reader) for reader in readers]
            if all(number is not None for number in numbers):
                for reader, number in zip(readers, numbers, strict=True):
                    _slice(model, node, reader, int(number or 0))
                model.graph.remove(node, safe=True)


def _slice(model: ir.Model, split: ir.Node, reader: ir.Node, number: int) -> None:
    """Put a Slice in the place of the part with this number."""
    name = f"{reader.outputs[0].name}_part"
    source, sizes = split.inputs[0], split.inputs[1]
    assert sizes is not None
    axis = add_constant(model, f"{name}_axis", np.array([split.attributes.get_int("axis", 0)]))

    def constant(what: str, *values: int) -> ir.Value:
        return add_constant(model, f"{name}_{what}", np.array(values))

    made: list[ir.Node] = []

    def node(operator: str, *inputs: ir.Value) -> ir.Value:
        new = ir.node(operator, list(inputs))
        new.outputs[0].name = f"{name}_{operator.lower()}_{len(made)}"
        made.append(new)
        return new.outputs[0]

    if _is_list(sizes):
        ends, at = node("CumSum", sizes, add_constant(model, f"{name}_along", np.array(0))), constant("number", number)
        end = node("Gather", ends, at)
        start = node("Sub", end, node("Gather", sizes, at))
    else:
        size = node("Reshape", sizes, constant("one", 1))
        start = node("Mul", size, constant("before", number))
        end = node("Mul", size, constant("behind", number + 1))
    reader.graph.insert_before(reader, made)  # type: ignore[union-attr]  # a node of the model's graph
    assert source is not None
    take_place(reader, ir.node("Slice", [source, start, end, axis]))


def _is_list(sizes: ir.Value) -> bool:
    """Whether there is a size for each part, and not one for all."""
    if sizes.shape is not None:
        return sizes.shape.rank() == 1
    producer = sizes.producer()
    return producer is not None and producer.op_type == "Concat"


def _number(reader: ir.Node) -> int | None:
    """The number of the part that a reader takes; None for any other reader."""
    if reader.op_type != "SequenceAt":
        return None
    return next(_values(reader.inputs[1]), None)


def _is_constant(value: ir.Value | None) -> bool:
    return next(_values(value), None) is not None


def _values(value: ir.Value | None) -> Iterator[int]:
    """The numbers in a constant; none if it is computed."""
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    if tensor is not None:
        yield from (int(number) for number in tensor.numpy().reshape(-1))
