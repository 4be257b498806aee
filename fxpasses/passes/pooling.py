"""Rewrite pools in the forms that the int8 engines know.

``x.mean((2, 3))`` is a global average pool, and an adaptive pool whose output size divides its input is a plain one.
Equal up to float rounding: the sum may be taken in another order.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import fx

from ..graph.edit import has_trait, insert_call, operator_name, replace_node
from ..graph.meta_keys import SHAPE
from ..graph.operators import Trait
from ..graph.pass_runner import PassResult
from ..graph.shapes import shape_of


def mean_to_pool(gm: fx.GraphModule) -> PassResult:
    """Rewrite a mean over height and width as a global average pool."""
    result = PassResult()
    for node in list(gm.graph.nodes):
        if operator_name(gm, node) != "mean":
            continue
        why = _why_not_mean(node)
        if why:
            result.skip(node, why)
            continue
        result.change(node, "is a global average pool")
        pool = insert_call(gm, node, F.adaptive_avg_pool2d, node.args[0], like=node, output_size=1)
        shape = shape_of(node) or ()
        pool.meta[SHAPE] = (*shape[:2], 1, 1)
        new = pool if node.kwargs.get("keepdim") else insert_call(gm, node, torch.flatten, pool, like=node, start_dim=1)
        replace_node(gm, node, new)
    return result


def _why_not_mean(node: fx.Node) -> str | None:
    source = node.args[0]
    rank = len(shape_of(source) or ()) if isinstance(source, fx.Node) else 0
    dims = node.kwargs.get("dim")
    if rank != 4:
        return f"its input has {rank} dimensions, a 2d pool needs 4"
    if not isinstance(dims, (tuple, list)) or sorted(int(d) % 4 for d in dims) != [2, 3]:
        return f"it averages over {dims}, a 2d pool over height and width"
    return None


def adaptive_to_plain_pool(gm: fx.GraphModule) -> PassResult:
    """Rewrite an adaptive average pool whose output size divides its input as a plain average pool."""
    result = PassResult()
    for node in list(gm.graph.nodes):
        if not has_trait(gm, node, Trait.TO_SIZE):
            continue
        source, out = node.args[0], (shape_of(node) or ())[2:]
        size = (shape_of(source) or ())[2:] if isinstance(source, fx.Node) else ()
        if tuple(out) == (1, 1):
            continue
        if len(size) != 2 or len(out) != 2 or any(s % o for s, o in zip(size, out, strict=True)):
            result.skip(node, f"output size {tuple(out)} does not divide input size {tuple(size)}")
            continue
        kernel = (size[0] // out[0], size[1] // out[1])
        result.change(node, f"is an average pool of {kernel[0]}x{kernel[1]}")
        replace_node(gm, node, insert_call(gm, node, F.avg_pool2d, source, like=node, kernel_size=kernel))
    return result
