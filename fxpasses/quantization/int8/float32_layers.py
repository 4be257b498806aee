"""A check that all layers are float32: int8 layers are made from float32 models only."""

from __future__ import annotations

import torch
from torch import fx

from ...errors import GraphError
from ...graph.edit import operator_of


def require_float32(gm: fx.GraphModule, step: str) -> None:
    """Raise GraphError for the first layer whose weights have another floating point dtype."""
    for node in gm.graph.nodes:
        operator = operator_of(gm, node) if node.op == "call_module" else None
        if operator is None or operator.weight_axis is None:
            continue
        for parameter in gm.get_submodule(str(node.target)).parameters(recurse=False):
            if parameter.is_floating_point() and parameter.dtype is not torch.float32:
                raise GraphError.at_node(
                    node,
                    why=f"its weights are {parameter.dtype}, and int8 is made of float32 weights",
                    fix="use model.float(), with example inputs and batches in float32; its forward must not cast "
                    "to another dtype in front of a layer",
                    step=step,
                )
