"""Pieces of the file as ONNX models, and their joining by the names of tensors."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import fx, nn
from torch.utils import _pytree as pytree

from fxpasses.errors import GraphError
from fxpasses.export.collector import collector_paused
from fxpasses.export.onnx_reader import opset_of
from fxpasses.export.onnx_writer.decompositions import kept_decompositions
from fxpasses.export.onnx_writer.registry import kept_registry
from fxpasses.export.onnx_writer.write import quiet_exporter, to_onnx
from fxpasses.user_frames import first_line

from .operators import translations

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class Piece:
    """A piece of the file.

    Attributes:
        name: prefix of the names of its tensors.
        model: its ONNX model.
        reads: for each input the tensor that it reads, as ``piece/tensor``; an input of the file if there is none.
    """

    name: str
    model: onnx.ModelProto
    reads: Mapping[str, str]


def int8_models(graphs: Mapping[str, fx.GraphModule]) -> dict[str, onnx.ModelProto]:
    """The ONNX model of each QUANTIZED graph, compared with it, all of one opset."""
    opset: int | None = None
    while True:
        models = {name: _int8_model(graph, opset) for name, graph in graphs.items()}
        found = {opset_of(model) for model in models.values()}
        if len(found) == 1:
            return models
        opset = max(found)


def _int8_model(graph: fx.GraphModule, opset: int | None) -> onnx.ModelProto:
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        return onnx.load(to_onnx(graph, Path(folder) / "part.onnx", opset=opset))


@collector_paused()
def float_model(
    module: nn.Module, inputs: tuple[Any, ...], names: Sequence[str], outputs: Sequence[str], opset: int
) -> onnx.ModelProto:
    """The ONNX model of float steps; dimension 0 of inputs and outputs is free.

    Args:
        inputs: example inputs: tensors, or lists of them.
        names: a name for each tensor among them, in order.
        outputs: a name for each output, in order.

    Raises:
        GraphError: the exporter cannot express them.
    """
    import onnx_ir

    from fxpasses.export.onnx_writer.simplify import inline, simplify

    try:
        with quiet_exporter(), kept_registry(), kept_decompositions(), torch.no_grad():
            program = torch.onnx.export(
                module.eval(),
                inputs,
                dynamo=True,
                opset_version=opset,
                dynamic_shapes=pytree.tree_map(lambda _: {0: "batch"}, inputs),
                custom_translation_table=translations(opset),
                input_names=list(names),
                output_names=list(outputs),
                optimize=False,
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise GraphError(
            f"{type(module).__name__}, float steps of a detector, cannot be exported to ONNX",
            why=first_line(error),
            fix="deploy the detector in PyTorch: it is called as the float one",
            step="to_onnx",
        ) from error
    assert program is not None
    inline(program.model)
    with quiet_exporter():
        simplify(program.model)
    return onnx_ir.to_proto(program.model)


def joined(pieces: Sequence[Piece], outputs: str) -> onnx.ModelProto:
    """One model of pieces, in order; its outputs are those of the piece ``outputs``, with their own names."""
    from onnx import compose, helper

    nodes: list[Any] = []
    weights: list[Any] = []
    made = {piece.name: compose.add_prefix(piece.model, f"{piece.name}/") for piece in pieces}
    given: list[Any] = []
    for piece in pieces:
        graph = made[piece.name].graph
        taken = {f"{piece.name}/{name}": source for name, source in piece.reads.items()}
        given += [value for value in graph.input if value.name not in taken]
        for node in graph.node:
            node.input[:] = [taken.get(name, name) for name in node.input]
        nodes += graph.node
        weights += graph.initializer
    results = list(made[outputs].graph.output)
    for value in results:
        plain = value.name.removeprefix(f"{outputs}/")
        nodes.append(helper.make_node("Identity", [value.name], [plain]))
        value.name = plain
    first = made[pieces[0].name]
    for value in given:
        plain = value.name.rpartition("/")[2]
        nodes.insert(0, helper.make_node("Identity", [plain], [value.name]))
        value.name = plain
    graph = helper.make_graph(nodes, "detector", given, results, weights)
    model = helper.make_model(graph, opset_imports=list(first.opset_import))
    model.ir_version = max(piece.model.ir_version for piece in pieces)
    return model
