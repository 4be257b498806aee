"""Versions of ONNX's operators (opsets): the default for a graph, and the smallest one that has its operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import fx

from fxpasses.errors import GraphError

from .limits import IN_TORCH

if TYPE_CHECKING:
    import onnx_ir

DEFAULT_OPSET = 18
"""The exporter's own default; onnxruntime's int8 rules are the same from 13 to 23."""

GELU_OPSET = 20
"""First opset with GELU as one operator; as five operators onnxruntime cannot fuse it after a DequantizeLinear."""

OPSETS = range(18, 24)
"""Opsets that the exporter writes; asked for an older one, it writes 18 without a warning."""

OLDER = range(13, OPSETS[0])
"""Opsets into which a model of opset 18 is rewritten; QuantizeLinear has scales for channels from 13 on."""


def default_opset(gm: fx.GraphModule) -> int:
    """The default opset for a graph, from its nodes."""
    return GELU_OPSET if any(node.target is F.gelu for node in gm.graph.nodes) else DEFAULT_OPSET


def opset_needed(model: onnx_ir.Model, opset: int) -> tuple[str, int] | None:
    """An operator of a model that an opset lacks, with the first opset that has it; None if it has all of them.

    Raises:
        GraphError: no opset has it.
    """
    import onnx

    lacking = {n.op_type for n in model.graph.all_nodes() if n.domain in ("", "ai.onnx")}
    lacking = {name for name in lacking if not onnx.defs.has(name, opset, "")}
    needed = {name: next((v for v in OPSETS if onnx.defs.has(name, v, "")), 0) for name in sorted(lacking)}
    for name, first in needed.items():
        if not first:
            raise GraphError(
                "this graph in ONNX",
                why=f"it would hold {name}, which opsets {OPSETS[0]} to {OPSETS[-1]} do not have",
                fix=IN_TORCH,
                step="to_onnx",
            )
    return max(needed.items(), key=lambda pair: pair[1], default=None)


def too_old(opset: int, name: str, needed: int) -> GraphError:
    """The error for a requested opset that lacks an operator."""
    return GraphError(
        f"opset {opset} for this graph",
        why=f"it holds {name}, which ONNX has from opset {needed} on",
        fix=f"leave opset out, or use opset={needed}",
        step="to_onnx",
    )
