"""Drop attention masks that mask nothing: Hugging Face encoders create a mask of ones if they are given none.

The mask would be added to, or selected from, every attention matrix. Equal up to float rounding: without a mask torch
uses another kernel, which adds in another order.
"""

from __future__ import annotations

import torch
from torch import fx

from ..graph.edit import operator_name
from ..graph.ownership import constant_of
from ..graph.pass_runner import PassResult


def drop_open_masks(gm: fx.GraphModule) -> PassResult:
    """Remove constant masks that are all true, or all zero if they are added, from ``scaled_dot_product_attention``."""
    result = PassResult()
    for node in list(gm.graph.nodes):
        if operator_name(gm, node) != "scaled_dot_product_attention" or node.kwargs.get("attn_mask") is None:
            continue
        why = _why_not(gm, node.kwargs["attn_mask"])
        if why:
            result.skip(node, why)
            continue
        mask = node.kwargs["attn_mask"]
        node.kwargs = {name: value for name, value in node.kwargs.items() if name != "attn_mask"}
        result.change(node, "without its mask, which hides nothing")
        _erase_unread(gm, mask, result)
    gm.delete_all_unused_submodules()
    return result


def _erase_unread(gm: fx.GraphModule, node: object, result: PassResult) -> None:
    """Erase a mask and the nodes that only it used."""
    if not isinstance(node, fx.Node) or node.users or node.op == "placeholder":
        return
    sources = node.all_input_nodes
    result.change(node, "no other node reads it any more")
    gm.graph.erase_node(node)
    for source in sources:
        _erase_unread(gm, source, result)


def _why_not(gm: fx.GraphModule, mask: object) -> str | None:
    """Reason why a mask must stay, or None; an ``expand`` of the mask does not matter."""
    while isinstance(mask, fx.Node) and operator_name(gm, mask) == "expand":
        mask = mask.args[0]
    values = constant_of(gm, mask)
    if values is None:
        return "its mask depends on the input"
    hides = ~values if values.dtype is torch.bool else values
    return "its mask hides something" if bool(hides.any()) else None
