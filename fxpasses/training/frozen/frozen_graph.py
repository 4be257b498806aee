"""A QUANTIZED graph that trains: layers on integers with parameters, and quantize nodes that pass gradients through."""

from __future__ import annotations

from collections.abc import Mapping

from torch import fx

from ...graph.ownership import drop_unread_tensors
from ...graph.pass_runner import copy_graph
from ...graph.shapes import carried_meta
from ...quantization.numbers import ops
from .frozen_layer import FrozenLayer, dequantize_through, quantize_through
from .settled_layers import SettledLayer

FROZEN = "fxpasses_trained"
"""Name of the submodule that holds the layers; no model has this name."""


def frozen_twin(int8: fx.GraphModule, layers: Mapping[str, SettledLayer]) -> fx.GraphModule:
    """Copy a QUANTIZED graph so that it computes the same integers and can be trained.

    Args:
        layers: layers of the graph by the name of their node, with the initial values of their parameters.
    """
    twin = copy_graph(int8)
    twin.requires_grad_(False)
    for node in list(twin.graph.nodes):
        if node.name in layers:
            _put_layer(twin, node, layers[node.name])
    for node in twin.graph.nodes:
        if node.target is ops.quantize:
            node.target = quantize_through
        elif node.target is ops.dequantize:
            node.target = dequantize_through
    twin.graph.eliminate_dead_code()
    twin.delete_all_unused_submodules()
    drop_unread_tensors(twin)
    twin.graph.lint()
    twin.recompile()
    return twin


def _put_layer(twin: fx.GraphModule, node: fx.Node, settled: SettledLayer) -> None:
    path = layer_path(settled)
    if path not in dict(twin.named_modules()):
        twin.add_submodule(path, _made(settled, node))
    dequantized = node.args[0]
    assert isinstance(dequantized, fx.Node)
    with twin.graph.inserting_before(node):
        call = twin.graph.call_module(path, (dequantized.args[0],))
    call.meta = carried_meta(node)
    node.replace_all_uses_with(call)
    twin.graph.erase_node(node)


def layer_path(settled: SettledLayer) -> str:
    """Path of a layer in a frozen graph."""
    return f"{FROZEN}.{settled.node}"


def _made(settled: SettledLayer, node: fx.Node) -> FrozenLayer:
    groups = int(settled.settings.get("groups", 1)) if settled.axis == 1 else 1
    layer = FrozenLayer(
        settled.function,
        settled.settings,
        settled.weight,
        settled.bias,
        settled.scale.repeat(groups),
        settled.grid,
        settled.x,
        channels_last="padding" not in settled.settings,
    )
    return layer.requires_grad_(settled.learns)
