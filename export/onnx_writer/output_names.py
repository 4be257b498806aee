"""Name the outputs of an ONNX file by the keys of the model's output: ``logits``, ``features.0``.

Values in tuples and lists have no name, and keep the exporter's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fxpasses.signature.outputs import OutputTensor

if TYPE_CHECKING:
    import onnx_ir


def name_outputs(model: onnx_ir.Model, outputs: Sequence[OutputTensor]) -> None:
    """Name the outputs of a model that have a key.

    An output that is also an input, a weight, or another output becomes a tensor of its own.
    """
    graph = model.graph
    if len(graph.outputs) != len(outputs):
        return
    seen = [*graph.inputs, *graph.initializers.values()]
    named: list[tuple[onnx_ir.Value, str]] = []
    for place, (value, output) in enumerate(zip(list(graph.outputs), outputs, strict=True)):
        if output.is_named:
            if any(value is other for other in seen):
                value = graph.outputs[place] = _copied(model, value)
            named.append((value, output.name))
        seen.append(value)
    taken = {value.name for value in seen if not any(value is other for other, _ in named)}
    for value, name in named:
        while name in taken:
            name += "_output"
        taken.add(name)
        _rename(model, value, name)


def _copied(model: onnx_ir.Model, value: onnx_ir.Value) -> onnx_ir.Value:
    import onnx_ir

    copy = onnx_ir.Value(name=f"{value.name}_again", type=value.type, shape=value.shape)
    model.graph.append(onnx_ir.Node("", "Identity", [value], outputs=[copy]))
    return copy


def _rename(model: onnx_ir.Model, value: onnx_ir.Value, name: str) -> None:
    """Give a value a name; another inner value with this name is renamed."""
    for node in model.graph:
        for other in node.outputs:
            if other.name == name and other is not value:
                other.name = f"{name}_inside"
    value.name = name
