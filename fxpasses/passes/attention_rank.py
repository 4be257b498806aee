"""Attention over windows, ``[B, G, H, T, D]``, as attention over ``B * G`` samples: the ONNX exporter takes no more.

Exact: the same products of the same matrices.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import fx

from ..graph_edit import insert_call, operator_name, replace_node
from ..pass_runner import PassResult
from ..shapes import SHAPE, shape_of

_WINDOWED = 5


def join_attention_windows(gm: fx.GraphModule) -> PassResult:
    """Join the first two dimensions of what ``scaled_dot_product_attention`` of five dimensions reads."""
    result = PassResult()
    for node in list(gm.graph.nodes):
        if operator_name(gm, node) != "scaled_dot_product_attention" or len(shape_of(node) or ()) != _WINDOWED:
            continue
        why = _why_not(node)
        if why:
            result.skip(node, why)
            continue
        result.change(node, "runs on batch and windows joined")
        shape = tuple(shape_of(node) or ())
        joined = [_joined(gm, node, source) for source in node.args]
        attention = insert_call(gm, node, F.scaled_dot_product_attention, *joined, like=node, **node.kwargs)
        attention.meta[SHAPE] = (shape[0] * shape[1], *shape[2:])
        parted = insert_call(gm, node, torch.reshape, attention, like=node, shape=(-1, *shape[1:]))
        replace_node(gm, node, parted)
    return result


def _why_not(node: fx.Node) -> str | None:
    mask = node.kwargs.get("attn_mask")
    if isinstance(mask, fx.Node) and len(shape_of(mask) or ()) >= _WINDOWED - 1:
        return "its mask may differ from window to window"
    sizes = [tuple(shape_of(source) or ())[:2] if isinstance(source, fx.Node) else () for source in node.args]
    return None if len(set(sizes)) == 1 else "its query, key and value are broadcast over windows"


def _joined(gm: fx.GraphModule, before: fx.Node, source: object) -> fx.Node:
    assert isinstance(source, fx.Node)
    shape = tuple(shape_of(source) or ())
    joined = insert_call(gm, before, torch.flatten, source, like=source, start_dim=0, end_dim=1)
    joined.meta[SHAPE] = (shape[0] * shape[1], *shape[2:])
    return joined
