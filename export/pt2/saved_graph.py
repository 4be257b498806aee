"""Restore the saved graph from a loaded program: canonical calls and the old names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import fx

from fxpasses.capturing.canonical import canonicalize
from fxpasses.graph.graph_module import RecordedModule
from fxpasses.graph.operators import aten_name
from fxpasses.graph.stages import Stage
from fxpasses.quantization.int8.names import float_name, tensor_of
from fxpasses.quantization.numbers import ops

from ..pt2_program.sizes import record_sizes
from ..pt2_records.facts import Example
from ..pt2_records.records import RefusedError

_CONV = ("stride", "padding", "dilation", "groups")
_TRANSPOSED = ("stride", "padding", "output_padding", "groups", "dilation")
_FUNCTIONAL: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    **{f"aten.conv{d}d": (getattr(F, f"conv{d}d"), _CONV) for d in (1, 2, 3)},
    **{f"aten.conv_transpose{d}d": (getattr(F, f"conv_transpose{d}d"), _TRANSPOSED) for d in (1, 2, 3)},
    "aten.linear": (F.linear, ()),
}
"""Layer functions of a QUANTIZED graph: the first three arguments are input, weight and bias, the rest are settings."""


def graph_of_program(
    gm: fx.GraphModule, examples: tuple[Example, ...], names: list[str], stage: Stage = Stage.QUANTIZED
) -> fx.GraphModule:
    """The canonical graph of a program; its k-th ``quantize`` node gets the k-th of ``names``."""
    arguments = sum(node.op == "placeholder" for node in gm.graph.nodes)
    if arguments != len(examples):
        raise RefusedError(f"it is damaged: there are {len(examples)} example inputs for {arguments} arguments")
    record_sizes(gm, examples)
    if stage is Stage.QUANTIZED:
        _make_functional(gm)
    canonicalize(gm)
    gm = _renamed(gm, names, "QuantizedModule" if stage is Stage.QUANTIZED else "FloatModule")
    record_sizes(gm, examples)
    return gm


def _make_functional(gm: fx.GraphModule) -> None:
    for node in list(gm.graph.nodes):
        name = aten_name(node.target)
        with gm.graph.inserting_before(node):
            if name in _FUNCTIONAL:
                function, settings = _FUNCTIONAL[name]
                given = dict(zip(settings, node.args[3:], strict=False)) | {
                    k: v for k, v in node.kwargs.items() if k in settings
                }
                tensors = (*node.args, None)[:3]
                new = gm.graph.call_function(function, tensors, {k: _tuple(v) for k, v in given.items()})
            elif name == "aten.embedding":
                new = gm.graph.call_function(F.embedding, (node.args[1], node.args[0]))
            else:
                continue
        new.meta = dict(node.meta)
        node.replace_all_uses_with(new)
        gm.graph.erase_node(node)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, tuple)) else value


def _renamed(gm: fx.GraphModule, names: list[str], class_name: str) -> fx.GraphModule:
    """A copy in which ``quantize`` nodes, and the ``dequantize`` nodes after them, have the given names."""
    wanted = dict(zip((n for n in gm.graph.nodes if n.target is ops.quantize), names, strict=True))
    graph, env = fx.Graph(), dict[fx.Node, fx.Node]()
    for node in gm.graph.nodes:
        if node.target is ops.dequantize and (quantized := node.all_input_nodes[0]) in wanted:
            name = float_name(tensor_of(wanted[quantized]))
        else:
            name = wanted.get(node, node.name)
        args = fx.map_arg(node.args, env.__getitem__)
        kwargs = fx.map_arg(node.kwargs, env.__getitem__)
        env[node] = graph.create_node(node.op, node.target, args, kwargs, name, node.type)
        env[node].meta = dict(node.meta)
    return RecordedModule(gm, graph, class_name)
