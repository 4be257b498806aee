"""Rewrite attention of any rank as attention ``[B, H, T, D]``, the only form that the ONNX exporter takes.

Windows, ``[B, G, H, T, D]``, become ``B * G`` samples; ``[B, T, D]`` gets one head. Exact: the same products of the
same matrices.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import fx

from ..graph.edit import insert_call, operator_name, replace_node
from ..graph.meta_keys import DTYPE, SHAPE
from ..graph.pass_runner import PassResult
from ..graph.shapes import shape_of

_WINDOWED, _HEADLESS = 5, 3


def give_attention_a_head(gm: fx.GraphModule) -> PassResult:
    """Give ``scaled_dot_product_attention`` of three dimensions one head."""
    result = PassResult()
    for node in list(gm.graph.nodes):
        if operator_name(gm, node) != "scaled_dot_product_attention" or len(shape_of(node) or ()) != _HEADLESS:
            continue
        ranks = {_rank(source) for source in node.args}
        if ranks != {_HEADLESS}:
            result.skip(node, "its query, key and value are broadcast over samples")
            continue
        result.change(node, "runs with one head")
        headed = [_with_a_head(gm, node, source) for source in node.args]
        settings = dict(node.kwargs)
        if _rank(mask := settings.get("attn_mask")) == _HEADLESS:
            settings["attn_mask"] = _with_a_head(gm, node, mask)
        attention = insert_call(gm, node, F.scaled_dot_product_attention, *headed, like=node, **settings)
        attention.meta[SHAPE] = _headed_shape(node)
        replace_node(gm, node, insert_call(gm, node, torch.squeeze, attention, like=node, dim=1))
    return result


def _rank(value: object) -> int:
    return len(shape_of(value) or ()) if isinstance(value, fx.Node) else 0


def _headed_shape(node: fx.Node) -> tuple[int, ...]:
    samples, *rest = shape_of(node) or ()
    return (samples, 1, *rest)


def _with_a_head(gm: fx.GraphModule, before: fx.Node, source: object) -> fx.Node:
    assert isinstance(source, fx.Node)
    headed = insert_call(gm, before, torch.unsqueeze, source, like=before, dim=1)  # a constant has no source line
    headed.meta |= {SHAPE: _headed_shape(source), DTYPE: source.meta.get(DTYPE)}
    return headed


def join_attention_windows(gm: fx.GraphModule) -> PassResult:
    """Join the first two dimensions of the inputs of ``scaled_dot_product_attention`` with five dimensions."""
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
    if _rank(mask) >= _WINDOWED - 1:
        return "its mask may differ from window to window"
    sizes = [tuple(shape_of(source) or ())[:2] if isinstance(source, fx.Node) else () for source in node.args]
    return None if len(set(sizes)) == 1 else "its query, key and value are broadcast over windows"


def _joined(gm: fx.GraphModule, before: fx.Node, source: object) -> fx.Node:
    assert isinstance(source, fx.Node)
    shape = tuple(shape_of(source) or ())
    joined = insert_call(gm, before, torch.flatten, source, like=source, start_dim=0, end_dim=1)
    joined.meta[SHAPE] = (shape[0] * shape[1], *shape[2:])
    return joined
