"""Notes on the origin of each operator in an ONNX file, for viewers and for ``fxpasses diff``.

Notes are ``metadata_props`` of nodes, all text: ``fxpasses.tensor`` (the graph's name of the computed tensor),
``fxpasses.module`` (the path of the layer in the original model), ``fxpasses.operator`` (in the project's vocabulary),
``fxpasses.grid`` and ``fxpasses.weights`` (scales), ``fxpasses.folded`` (nodes that a pass folded into it) and
``fxpasses.sqnr_db`` where that was measured. They do not change the results of the file.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir
import torch
from torch import fx

from fxpasses.formats.node_notes import FOLDED, GRID, MODULE, NODE, OPERATOR, SQNR_DB, TENSOR, WEIGHTS
from fxpasses.graph.meta_keys import SQNR
from fxpasses.graph.operator_table import VOCABULARY
from fxpasses.graph.pass_runner import pass_logs
from fxpasses.graph.stages import Stage, stage_of
from fxpasses.quantization.int8.int8_calls import FloatResult, Int8Call, find_float_results, find_int8_calls
from fxpasses.quantization.int8.names import layer_path, node_of_layer, tensor_of

ORIGINS = "fxpasses.origins"
"""Key under which a model in memory keeps the result of :func:`find_origins`, while its nodes are rewritten."""
_CONVERTERS = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Constant")
_SCOPES, _FX_NODE = "pkg.torch.onnx.name_scopes", "pkg.torch.onnx.fx_node"
_TARGET = re.compile(r"%(?P<name>\w+) : .*?target=torch\.ops\.(?P<aten>\w+\.\w+)")


@dataclass(frozen=True)
class Origin:
    """The origin of a tensor, as the exporter notes it; all operators made from one node of the program share it."""

    node: str
    module: str
    operator: str


def find_origins(model: ir.Model) -> dict[str, Origin]:
    """The origin of each tensor by its name, from the exporter's traces, which are dropped later."""
    found = {}
    for node in model.graph:
        origin = _origin(node.metadata_props.get(_SCOPES, ""), node.metadata_props.get(_FX_NODE, ""))
        if origin is not None:
            found.update({str(value.name): origin for value in node.outputs})
    return found


def _origin(scopes: str, fx_node: str) -> Origin | None:
    target = _TARGET.match(fx_node)
    try:
        path = ast.literal_eval(scopes)
    except (ValueError, SyntaxError):
        return None
    if target is None or not isinstance(path, list):
        return None
    stem, aten = re.sub(r"_\d+$", "", target["name"]), target["aten"]
    operator = stem if stem in VOCABULARY.by_name else VOCABULARY.name_of_aten(aten) or aten.rpartition(".")[2]
    return Origin(target["name"], str(path[-2]) if len(path) > 1 else "", operator)


def note_nodes(model: ir.Model, gm: fx.GraphModule) -> None:
    """Write the notes on every operator of a finished model; converters between float and integers have none."""
    folded, origins = _folded(gm), model.meta.get(ORIGINS, {})
    for node in model.graph:
        node.metadata_props.clear()
        origin = origins.get(str(node.outputs[0].name)) if node.outputs else None
        if origin is not None and node.op_type not in _CONVERTERS:
            known = {NODE: origin.node, OPERATOR: origin.operator, MODULE: origin.module}
            _note(node, known | {FOLDED: folded.get(node_of_layer(origin.module), "")})
    if stage_of(gm) is Stage.QUANTIZED:
        for node, call in _int8_nodes(model, gm):
            path = _path_of(call)
            node.metadata_props.pop(NODE, None)
            tensor = tensor_of(call.name) if isinstance(call, Int8Call) else node_of_layer(path)
            known = {TENSOR: tensor, OPERATOR: call.operator.name, GRID: _grid(call)}
            _note(node, known | {MODULE: path, FOLDED: folded.get(node_of_layer(path), ""), WEIGHTS: _weights(call)})
            measured = call.output.meta.get(SQNR) if isinstance(call, Int8Call) else None
            _note(node, {SQNR_DB: f"{measured:.1f}" if isinstance(measured, float) else ""})


def _note(node: ir.Node, notes: dict[str, str]) -> None:
    node.metadata_props.update({key: text for key, text in notes.items() if text})


def _int8_nodes(model: ir.Model, gm: fx.GraphModule) -> Iterator[tuple[ir.Node, Int8Call | FloatResult]]:
    """Each operator of the file that computes a call of the graph on integers, with the call."""
    calls = {call.name: call for call in find_int8_calls(gm).values()}
    results = {_path_of(result): result for result in find_float_results(gm).values()}
    for node in model.graph:
        name = str(node.outputs[0].name) if node.outputs else ""
        if name in calls:
            yield from ((found, calls[name]) for found in _computing(node, is_layer=calls[name].layer is not None))
        elif node.metadata_props.get(MODULE) in results and node.metadata_props.get(OPERATOR) == "linear":
            yield from ((found, results[node.metadata_props[MODULE]]) for found in (node, *_shaped_by(node)))


def _computing(node: ir.Node, *, is_layer: bool) -> Iterator[ir.Node]:
    """The operators between DequantizeLinear and this QuantizeLinear, or the node itself if it computes integers."""
    if node.op_type == "Reshape" and is_layer:
        yield node
        for source in _shaped_by(node):
            yield from _computing(source, is_layer=True)
    elif node.op_type != "QuantizeLinear":
        yield node
    else:
        value = node.inputs[0]
        producer = value.producer() if value is not None else None
        while producer is not None and producer.op_type not in _CONVERTERS and len(producer.outputs[0].uses()) == 1:
            yield producer
            value = producer.inputs[0] if producer.inputs else None
            producer = value.producer() if value is not None else None


def _shaped_by(node: ir.Node) -> list[ir.Node]:
    """The operator in front of a Reshape, a product over rows, as a list; empty for other operators."""
    value = node.inputs[0] if node.op_type == "Reshape" else None
    producer = value.producer() if value is not None else None
    return [producer] if producer is not None else []


def _path_of(call: Int8Call | FloatResult) -> str:
    """Path of a call's layer, ``layer1.0.conv1``; empty for operators without weights."""
    weight = call.node.args[1] if call.layer is not None else None
    if not isinstance(weight, fx.Node):
        return ""
    return layer_path(str(weight.all_input_nodes[0].target).rpartition(".")[0])


def _grid(call: Int8Call | FloatResult) -> str:
    if isinstance(call, FloatResult):
        return "float32, of exact integer sums"
    return f"{str(call.y.grid.dtype).removeprefix('torch.')}, scale {call.y.scale:.6g}, zero point {call.y.zero_point}"


def _weights(call: Int8Call | FloatResult) -> str:
    if call.layer is None:
        return ""
    scale = call.layer.weight_scale
    low, high = (float(v) for v in torch.aminmax(scale))
    kind = str(call.layer.weight.dtype).removeprefix("torch.")
    return f"{kind}, scale {low:.3g} to {high:.3g} over {scale.numel()} channels"


def _folded(gm: fx.GraphModule) -> dict[str, str]:
    """Names of the nodes that passes folded into each layer, by the name of the layer's node."""
    found: dict[str, list[str]] = {}
    for log in pass_logs(gm):
        for change in log.result.changed:
            if change.folded_into is not None:
                found.setdefault(change.folded_into, []).append(change.node)
    return {name: ", ".join(nodes) for name, nodes in found.items()}
