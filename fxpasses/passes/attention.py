"""Open ``nn.MultiheadAttention`` into two linear layers around ``scaled_dot_product_attention``.

The tracer keeps the module as one opaque layer, so its projections, a third of a transformer's work, would stay float.
Equal up to float rounding: the same products, summed in another order.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from ..graph.edit import add_module, insert_call, module_of, operator_name, replace_node
from ..graph.meta_keys import DTYPE, SHAPE
from ..graph.pass_runner import PassResult
from ..graph.shapes import carried_meta, shape_of

_PLAIN = {"need_weights", "average_attn_weights"}
"""Settings of a call that do not change the attention itself."""


def open_attention(gm: fx.GraphModule) -> PassResult:
    """Rewrite self-attention without masks whose attention weights are not used."""
    result, opened = PassResult(), _Opened(gm)
    for node in list(gm.graph.nodes):
        if operator_name(gm, node) != "attention":
            continue
        why = _why_not(gm, node)
        if why:
            result.skip(node, why)
            continue
        (taken,) = list(node.users)
        result.change(node, "opened: its projections are linear layers")
        result.change(taken, "is what the second of them computes")
        replace_node(gm, taken, opened.open(node, taken))
        gm.graph.erase_node(node)
    gm.delete_all_unused_submodules()
    return result


def keeps_attention_whole(gm: fx.GraphModule) -> bool:
    """Whether a graph calls an ``nn.MultiheadAttention`` that :func:`open_attention` cannot open."""
    return any(operator_name(gm, node) == "attention" and _why_not(gm, node) for node in gm.graph.nodes)


def _why_not(gm: fx.GraphModule, node: fx.Node) -> str | None:
    layer = module_of(gm, node, nn.MultiheadAttention)
    if len(node.args) != 3 or len(set(node.args)) != 1:
        return "its query, key and value are not one tensor"
    given = {name for name, value in node.kwargs.items() if name not in _PLAIN and value not in (None, False)}
    if given:
        return f"it is called with {', '.join(sorted(given))}"
    users = list(node.users)
    if len(users) != 1 or users[0].target is not operator.getitem or users[0].args[1] != 0:
        return "its attention weights are used, too"
    if len(shape_of(node.all_input_nodes[0]) or ()) != 3 or not layer.batch_first:
        return "its input is not [batch, tokens, features]; batch_first=True makes it so"
    return _why_not_layer(layer)


def _why_not_layer(layer: nn.MultiheadAttention) -> str | None:
    if not layer._qkv_same_embed_dim:
        return "its key or value has another width than its query"
    if layer.bias_k is not None or layer.add_zero_attn:
        return "it adds a key of its own"
    if layer.training and layer.dropout:
        return "it is in training mode"
    if layer._forward_hooks or layer._forward_pre_hooks:  # torch has no public way to ask
        return "a forward hook sees its input or changes its output"
    return None


class _Opened:
    """Writes the rewritten form; a module called twice is rewritten to the same two layers."""

    def __init__(self, gm: fx.GraphModule) -> None:
        self.gm = gm
        self.paths: dict[str, tuple[str, str]] = {}

    def open(self, node: fx.Node, taken: fx.Node) -> fx.Node:
        """Create the node that replaces ``taken``, the first output of the attention ``node``."""
        layer, x = module_of(self.gm, node, nn.MultiheadAttention), node.all_input_nodes[0]
        into, out = self._projections(str(node.target), layer)
        batch, tokens, width = shape_of(x) or ()
        heads, size = layer.num_heads, width // layer.num_heads
        like = taken

        def call(function: Any, *args: Any, shape: tuple[int, ...] | None, **settings: Any) -> fx.Node:
            new = insert_call(self.gm, node, function, *args, like=like, **settings)
            new.meta[SHAPE] = shape
            if shape is None:  # a number, or the shape itself
                del new.meta[SHAPE], new.meta[DTYPE]
            return new

        qkv = self._layer(node, into, x, (batch, tokens, 3 * width))
        sizes = call(getattr, x, "shape", shape=None)
        n, t = (call(operator.getitem, sizes, i, shape=None) for i in (0, 1))
        parts = []
        for i in range(3):
            index = (slice(None), slice(None), slice(i * width, (i + 1) * width))
            part = call(operator.getitem, qkv, index, shape=(batch, tokens, width))
            part = call(torch.reshape, part, shape=(batch, tokens, heads, size))
            part.kwargs = {"shape": (n, t, heads, size)}
            parts.append(call(torch.transpose, part, shape=(batch, heads, tokens, size), dim0=1, dim1=2))
        mixed = call(F.scaled_dot_product_attention, *parts, shape=(batch, heads, tokens, size))
        mixed = call(torch.transpose, mixed, shape=(batch, tokens, heads, size), dim0=1, dim1=2)
        mixed = call(torch.reshape, mixed, shape=(batch, tokens, width))
        mixed.kwargs = {"shape": (n, t, width)}
        return self._layer(node, out, mixed, (batch, tokens, width))

    def _layer(self, before: fx.Node, path: str, x: fx.Node, shape: tuple[int, ...]) -> fx.Node:
        with self.gm.graph.inserting_before(before):
            new = self.gm.graph.call_module(path, (x,))
        new.meta = carried_meta(before) | {SHAPE: shape, DTYPE: x.meta[DTYPE]}
        return new

    def _projections(self, path: str, layer: nn.MultiheadAttention) -> tuple[str, str]:
        if path not in self.paths:
            into = _linear(layer.in_proj_weight, layer.in_proj_bias)
            out = _linear(layer.out_proj.weight, layer.out_proj.bias)
            self.paths[path] = (
                add_module(self.gm, f"{path}_in_proj", into),
                add_module(self.gm, f"{path}_out_proj", out),
            )
        return self.paths[path]


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    rows, columns = weight.shape
    layer = nn.Linear(columns, rows, bias=bias is not None, device="meta")
    layer.register_parameter("weight", nn.Parameter(weight.detach().clone()))
    layer.register_parameter("bias", None if bias is None else nn.Parameter(bias.detach().clone()))
    return layer.eval()
