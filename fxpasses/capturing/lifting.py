"""Replace functional calls with constant weights by layers.

``F.conv2d(x, self.weight)`` and ``aten.conv2d(x, p_weight)`` become an ``nn.Conv2d`` that shares the same parameter, in
eval mode, under the name of the parameter; so every later step has to know one form only. Exact. Calls whose weight is
computed from inputs, or that train, are not changed.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, fx, nn

from ..graph.binding import bind
from ..graph.meta_keys import SHAPE
from ..graph.operator_table import VOCABULARY
from ..graph.operators import aten_name
from ..graph.ownership import constant_of, place_module
from ..graph.shapes import shape_of
from .layer_builders import build_layer, can_build
from .recurrent_lifting import lift_recurrent
from .rewrites.padding import plain_paddings

Bound = dict[str, Any]

_TENSORS = ("weight", "bias", "running_mean", "running_var")


def lift_layers(gm: fx.GraphModule) -> None:
    """Replace functional layer calls with constant weights by modules, in place."""
    lifted: dict[tuple[Any, ...], str] = {}
    parameters: dict[tuple[Any, ...], nn.Parameter] = {}
    for node in list(gm.graph.nodes):
        found = _layer_call(gm, node)
        if found is None or not isinstance(found[1].get("input"), fx.Node):
            continue
        name, bound = found
        names = {k: weight_path(bound.get(k)) for k in _TENSORS}
        settings = _with_constants(gm, bound, parameters)
        layer = build_layer(name, settings) if settings is not None else None
        readers = _readers(node)
        if settings is None or layer is None or readers is None:
            continue
        key = (type(layer), layer.extra_repr(), *(id(settings.get(k)) for k in _TENSORS))
        if key not in lifted:
            lifted[key] = place_module(gm, _name_for(node, name, names["weight"]), layer)
        _call_layer(gm, node, readers, lifted[key], bound["input"])
    lift_recurrent(gm)
    _positional_inputs(gm)
    plain_paddings(gm)


def _positional_inputs(gm: fx.GraphModule) -> None:
    """Write ``conv(input=x)`` as ``conv(x)``."""
    for node in gm.graph.nodes:
        operator = VOCABULARY.operator(gm, node) if node.op == "call_module" else None
        if operator is not None and operator.layers and not node.args and node.kwargs.keys() == {"input"}:
            node.args, node.kwargs = (node.kwargs["input"],), {}


def _layer_call(gm: fx.GraphModule, node: fx.Node) -> tuple[str, Bound] | None:
    """Name of the layer that a node calls functionally, and the arguments by name; None for other nodes."""
    aten = aten_name(node.target)
    if aten == "aten.convolution":
        return _convolution(node)
    if aten == "aten.addmm" or node.target is torch.addmm:
        return _addmm(node)
    found = VOCABULARY.spelling(gm, node) if node.op in ("call_function", "call_method") else None
    if found is None:
        return None
    op, spelling = found
    if op.name == "matmul":
        return _matmul(gm, node)
    if not can_build(op.name):
        return None
    bound = bind(gm, node, spelling)
    return None if bound is None else (op.name, bound)


def _convolution(node: fx.Node) -> tuple[str, Bound] | None:
    names = "input weight bias stride padding dilation transposed output_padding groups".split()
    bound = dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
    stride = bound.get("stride")
    rank = len(stride) if isinstance(stride, (tuple, list)) else 0
    if rank not in (1, 2, 3):
        return None
    return (f"conv_transpose{rank}d" if bound.pop("transposed") else f"conv{rank}d"), bound


def _addmm(node: fx.Node) -> tuple[str, Bound] | None:
    bound = dict(zip(("bias", "input", "weight"), node.args, strict=False)) | dict(node.kwargs)
    if bound.pop("beta", 1) != 1 or bound.pop("alpha", 1) != 1 or len(node.args) != 3:
        return None
    return "linear", bound | {"transposed": True}


def _matmul(gm: fx.GraphModule, node: fx.Node) -> tuple[str, Bound] | None:
    if len(node.args) != 2 or node.kwargs:
        return None
    source, weight = node.args
    if not isinstance(source, fx.Node) or len(shape_of(source) or ()) < 2 or constant_of(gm, source) is not None:
        return None
    return "linear", {"input": source, "weight": weight, "transposed": True}


def weight_path(node: object) -> str | None:
    """The name of the parameter that a weight is, or is a view of."""
    while isinstance(node, fx.Node) and node.op != "get_attr":
        node = node.all_input_nodes[0] if len(node.all_input_nodes) == 1 else None
    return str(node.target) if isinstance(node, fx.Node) else None


def _with_constants(gm: fx.GraphModule, bound: Bound, parameters: dict[tuple[Any, ...], nn.Parameter]) -> Bound | None:
    """The arguments with constant tensors instead of nodes; None if any argument except the input is computed."""
    settings: Bound = {}
    for name, value in bound.items():
        if name == "input":
            settings[name] = shape_of(value)
        elif name in _TENSORS and value is not None:
            tensor = constant_of(gm, value)
            if tensor is None or not tensor.is_floating_point():
                return None
            if name == "weight" and bound.get("transposed"):
                tensor = _transposed(gm, value, tensor)
            if tensor is None:
                return None
            settings[name] = tensor if name.startswith("running") else _as_parameter(tensor, parameters)
        else:
            nodes: list[fx.Node] = []
            fx.node.map_arg(value, nodes.append)
            if nodes:
                return None
            settings[name] = value
    return settings


def _transposed(gm: fx.GraphModule, node: Any, tensor: Tensor) -> Tensor | None:
    """The ``[out, in]`` weight of ``x @ w``; the parameter itself if ``w`` is its transpose."""
    if tensor.dim() != 2:
        return None
    original = constant_of(gm, node.args[0]) if node.op != "get_attr" and node.args else None
    if original is not None and _same_view(original.t() if original.dim() == 2 else original, tensor):
        return original
    return tensor.t()


def _same_view(a: Tensor, b: Tensor) -> bool:
    return a.data_ptr() == b.data_ptr() and a.shape == b.shape and a.stride() == b.stride()


def _as_parameter(tensor: Tensor, parameters: dict[tuple[Any, ...], nn.Parameter]) -> nn.Parameter:
    """The parameter itself, or one parameter for all views of the same memory; nothing is copied."""
    if isinstance(tensor, nn.Parameter):
        return tensor
    key = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
    return parameters.setdefault(key, nn.Parameter(tensor.detach(), requires_grad=tensor.requires_grad))


def _readers(node: fx.Node) -> list[fx.Node] | None:
    """The nodes that hold the layer's output: the node itself, or ``getitem(node, 0)`` if it returns several values."""
    if not isinstance(node.meta.get(SHAPE), list):
        return [node]
    first = all(u.target is operator.getitem and u.args[1] == 0 for u in node.users)
    return list(node.users) if first else None


def _call_layer(gm: fx.GraphModule, node: fx.Node, readers: list[fx.Node], path: str, source: fx.Node) -> None:
    with gm.graph.inserting_before(node):
        call = gm.graph.call_module(path, (source,))
    call.meta = dict((readers or [node])[0].meta) | {
        k: v for k, v in node.meta.items() if k in ("stack_trace", "nn_module_stack")
    }
    for reader in readers:
        reader.replace_all_uses_with(call)
        gm.graph.erase_node(reader)
    if node not in readers:
        gm.graph.erase_node(node)


def _name_for(node: fx.Node, layer: str, path: str | None) -> str:
    """Name of a layer: ``features.0`` for ``features.0.weight``; else the calling module, or for example ``conv2d``."""
    holder, _, leaf = (path or "").rpartition(".")
    if not path or leaf.startswith("_tensor_constant"):
        stack = list((node.meta.get("nn_module_stack") or {}).values())
        return str(stack[-1][0]) if stack and stack[-1][0] else layer
    stem = leaf.removesuffix("weight").rstrip("_") if leaf.endswith("weight") else f"{leaf}_{layer}"
    if not stem:
        return holder or layer
    return f"{holder}.{stem}" if holder else stem
