"""Shapes of the tensors in a graph, recorded once by running it on example inputs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from .meta_keys import DTYPE, SHAPE


class _Recorder(fx.Interpreter):
    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        note_shape(n, result)
        return result


def note_shape(node: fx.Node, result: Any) -> None:
    """Write shape and dtype of a node's result into ``node.meta``, if it is a tensor or several tensors."""
    node.meta.pop(SHAPE, None)
    node.meta.pop(DTYPE, None)
    if isinstance(result, Tensor):
        node.meta[SHAPE], node.meta[DTYPE] = tuple(result.shape), result.dtype
    elif isinstance(result, (tuple, list)) and result and all(isinstance(r, Tensor) for r in result):
        node.meta[SHAPE] = [tuple(r.shape) for r in result]


def record_shapes(gm: fx.GraphModule, inputs: tuple[Any, ...]) -> None:
    """Write shape and dtype of every tensor into ``node.meta``; a node without them is not a tensor.

    Inputs are copied: the graph may still hold in-place operators.
    """
    copies = pytree.tree_map(lambda x: x.clone() if isinstance(x, Tensor) else x, inputs)
    with torch.no_grad():
        _Recorder(gm).run(*copies)


def shape_of(node: fx.Node) -> tuple[int, ...] | None:
    """Shape for the example inputs (dimension 0 is the batch), or None if the node is not a tensor."""
    shape = node.meta.get(SHAPE)
    return shape if isinstance(shape, tuple) else None


def is_tensor(value: object) -> bool:
    """Whether an argument is a node that yields a tensor."""
    return isinstance(value, fx.Node) and shape_of(value) is not None


def is_float_tensor(value: object) -> bool:
    """Whether an argument is a node that yields a float32 tensor."""
    return isinstance(value, fx.Node) and value.meta.get(DTYPE) is torch.float32


def carried_meta(node: fx.Node) -> dict[str, Any]:
    """Metadata that a replacement of a node inherits: shape, dtype and source line, but not the notes of torch.fx."""
    return {k: v for k, v in node.meta.items() if k in (SHAPE, DTYPE, "stack_trace", "nn_module_stack")}


def value_range(x: object) -> tuple[float, float] | None:
    """(smallest, largest) value of a tensor; None if it is no tensor, empty, or not finite."""
    if not isinstance(x, Tensor) or not x.numel() or x.is_complex():
        return None
    low, high = (float(v) for v in torch.aminmax(x.detach() if x.dtype is not torch.bool else x.to(torch.uint8)))
    return (low, high) if abs(low) < float("inf") and abs(high) < float("inf") else None
