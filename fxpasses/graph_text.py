"""A graph as short text with one line per tensor, to read, to compare, and to store with tests.

    relu_int8 = quantize(conv2d)  2x8x7x5  uint8 0.0123 @ 3

means ``name = operator(arguments) settings  shape  parameters``. Observers are noted on the line of their tensor.
``dequantize`` is left out: an operator with integer arguments reads them dequantized, unless they are in brackets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import fx

from .graph.edit import operator_name
from .graph.meta_keys import DTYPE, SHAPE
from .graph.shapes import shape_of
from .graph.stages import stage_of
from .quantization.int8.bias_correction import find_means
from .quantization.int8.int8_calls import LAYER_FUNCTIONS, qparams_of
from .quantization.int8.observe import find_observers
from .quantization.numbers import ops
from .quantization.ranges.known_ranges import find_known

_DIGITS = 3
_ORDINARY: dict[str, Any] = {
    "stride": 1,
    "padding": 0,
    "output_padding": 0,
    "dilation": 1,
    "groups": 1,
    "padding_mode": "zeros",
}
"""Default values of layer settings; settings with these values are left out."""


def graph_text(gm: fx.GraphModule) -> str:
    """A graph in any stage as text that ends with a newline. Scales have three digits."""
    stage = stage_of(gm)
    text = _GraphText(gm)
    lines = [stage.value if stage else "not captured"]
    lines += [line for node in gm.graph.nodes if (line := text.line(node)) is not None]
    return "\n".join(lines) + "\n"


class _GraphText:
    def __init__(self, gm: fx.GraphModule) -> None:
        self.gm = gm
        self.watching = {
            node: node.all_input_nodes[0] for node in (*find_observers(gm).values(), *find_means(gm), *find_known(gm))
        }

    def line(self, node: fx.Node) -> str | None:
        """The line of one node; None for a node that is part of other lines."""
        if node.op == "output":
            return f"return {self._argument(node.args[0])}"
        if node in self.watching or node.target in (ops.dequantize, ops.dequantize_per_channel):
            return None
        if node.op == "get_attr" and all(u.target in (ops.dequantize, ops.dequantize_per_channel) for u in node.users):
            return None
        parts = [f"{node.name} = {self._call(node)}", _shape(node), self._parameters(node)]
        return "  ".join(part for part in parts if part)

    def _call(self, node: fx.Node) -> str:
        if node.op == "placeholder":
            return "input"
        if node.op == "get_attr":
            return f"constant {node.target}"
        arguments = [self._argument(a) for a in (node.args[:1] if node.target is ops.quantize else node.args)]
        settings = dict(node.kwargs)
        if node.op == "call_module":
            module = self.gm.get_submodule(str(node.target))
            arguments += [f"{name}[{_sizes(p.shape)}]" for name, p in module.named_parameters()]
            settings |= {name: getattr(module, name) for name in _ORDINARY if hasattr(module, name)}
        told = {k: v for k, v in settings.items() if k not in _ORDINARY or not _is_ordinary(k, v)}
        name = operator_name(self.gm, node) or _target_name(self.gm, node)
        return " ".join([f"{name}({', '.join(arguments)})", *(f"{k}={self._setting(v)}" for k, v in told.items())])

    def _setting(self, value: Any) -> str:
        """Text of a setting; ``(2, 2)`` becomes ``2``."""
        if isinstance(value, (tuple, list)) and len(value) > 1 and all(v == value[0] for v in value):
            value = value[0]
        return self._argument(value)

    def _argument(self, value: Any) -> str:
        if isinstance(value, fx.Node):
            return self._node(value)
        if isinstance(value, slice):
            ends = ["" if v is None else self._argument(v) for v in (value.start, value.stop)]
            return ":".join(ends if value.step is None else [*ends, self._argument(value.step)])
        if isinstance(value, (tuple, list)):
            return f"({', '.join(self._argument(v) for v in value)})"
        if isinstance(value, dict):
            return f"{{{', '.join(f'{k}: {self._argument(v)}' for k, v in value.items())}}}"
        return f"{value:g}" if isinstance(value, float) else str(value)

    def _node(self, node: fx.Node) -> str:
        node = self._watched(node)
        if node.target is ops.dequantize:
            return _constant(node) or node.all_input_nodes[0].name
        if node.target is ops.dequantize_per_channel:
            return _constant(node) or node.name
        return f"[{node.name}]" if node.target is ops.quantize else node.name

    def _parameters(self, node: fx.Node) -> str:
        if node.target is ops.quantize:
            q = qparams_of(node)
            return f"{_dtype(q.grid.dtype)} {q.scale:.{_DIGITS}g} @ {q.zero_point}"
        kinds = [_target_name(self.gm, w) for w in self.watching if self._watched(w) is node]
        return f"watched by {' and '.join(kinds)}" if kinds else ""

    def _watched(self, node: fx.Node) -> fx.Node:
        while node in self.watching:
            node = self.watching[node]
        return node


def _constant(dequantize: fx.Node) -> str | None:
    """Text such as ``conv_int8.weight[8x5x3x3 int8]`` for constant integers; None for computed integers."""
    held = dequantize.all_input_nodes[0]
    if held.op != "get_attr":
        return None
    dtype = held.meta.get(DTYPE)
    kind = _dtype(dtype) if isinstance(dtype, torch.dtype) else "?"
    if dequantize.target is ops.dequantize:
        kind += f" {dequantize.args[1]:.{_DIGITS}g} @ {dequantize.args[2]}"
    return f"{held.target}[{_shape(held)} {kind}]"


def _shape(node: fx.Node) -> str:
    shape = shape_of(node)
    if shape is not None:
        return _sizes(shape)
    several = node.meta.get(SHAPE)
    return ", ".join(map(_sizes, several)) if several else ""


def _sizes(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _dtype(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _target_name(gm: fx.GraphModule, node: fx.Node) -> str:
    if node.op == "call_module":
        return type(gm.get_submodule(str(node.target))).__name__
    if node.op == "call_method":
        return f".{node.target}"
    if callable(node.target) and node.target in LAYER_FUNCTIONS:
        return LAYER_FUNCTIONS[node.target].name
    name = getattr(node.target, "__name__", str(node.target))
    return str(name).removesuffix(".default")


def _is_ordinary(name: str, value: Any) -> bool:
    values = value if isinstance(value, (tuple, list)) else (value,)
    return all(v == _ORDINARY[name] for v in values)
