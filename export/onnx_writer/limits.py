"""Find nodes that ONNX or onnxruntime cannot express, before anything is exported."""

from __future__ import annotations

import operator

from torch import fx, nn

from fxpasses.errors import GraphError

IN_TORCH = "deploy it in PyTorch: fx.export.save(graph, 'model.pt2'), and for int8 kernels fx.export.to_torch(graph)"
"""Remedy for a graph of any stage that has no ONNX file."""


def require_expressible(gm: fx.GraphModule) -> None:
    """Raise GraphError for the first node that ONNX cannot express."""
    for node in gm.graph.nodes:
        why = why_not_expressible(gm, node)
        if why is not None:
            raise GraphError.at_node(node, why=why[0], fix=why[1], step="to_onnx")


def why_not_expressible(gm: fx.GraphModule, node: fx.Node) -> tuple[str, str] | None:
    """The reason and the remedy for a node that ONNX cannot express; None if no problem is known."""
    if node.op == "call_module":
        layer = gm.get_submodule(str(node.target))
        if isinstance(layer, nn.LSTM) and layer.proj_size:
            why = f"its hidden state is projected (proj_size={layer.proj_size}), which no ONNX operator does"
            return why, f"train it without proj_size, or {IN_TORCH}"
        if isinstance(layer, (nn.FractionalMaxPool2d, nn.FractionalMaxPool3d)):
            return "its windows are drawn at random, which no ONNX operator does", IN_TORCH
    name = getattr(node.target, "__name__", "")
    if "fractional_max_pool" in name:
        return "its windows are drawn at random, which no ONNX operator does", IN_TORCH
    if "adaptive_max_pool" in name and _reads_indices(node):
        return (
            "something reads the indices of its maxima, which ONNX does not give",
            f"use its values alone, or {IN_TORCH}",
        )
    return None


def _reads_indices(node: fx.Node) -> bool:
    picked = [user for user in node.users if user.target is operator.getitem]
    return any(user.args[1] == 1 and user.users for user in picked)
