"""Rewrite a model of opset 18 for one of 13 to 17, or refuse with the node and the oldest opset that has it.

onnx's own converter is not used. Version 1.23 has no way down for Pad, Add, Mul, Relu, Reshape, Shape and
LayerNormalization, among others: of 63 files of tiny nets, float and int8, it refused 50 for opset 13 and 27 for 17,
and it lost the notes on nodes. Each rule here has a test that runs the file beside that of opset 18.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from fxpasses.errors import GraphError

from .forms import BASE, form, is_same_form
from .rules import RULES


def to_older_opset(model: ir.Model, opset: int, name_of: Callable[[ir.Node], str]) -> None:
    """Rewrite ``model``, of opset 18, in place. Its IR version becomes that of the first onnx with the opset.

    Args:
        name_of: the name of a node in messages.

    Raises:
        GraphError: a node has no form in the opset.
    """
    ShapeInferencePass()(model)  # rewrites ask for types and sizes, which earlier ones leave out
    nodes = [node for node in ir.traversal.RecursiveGraphIterator(model.graph) if _changed(node, opset)]
    for node in nodes:
        why = why_not_older(node, opset)
        if why is not None:
            first = next(v for v in range(opset + 1, BASE + 1) if why_not_older(node, v) is None)
            raise GraphError(
                f"opset {opset} for {name_of(node)}",
                why=f"it is a {node.op_type}: {why}",
                fix=f"use opset={first} or a later one, or leave it out",
                step="to_onnx",
            )
    for node in nodes:
        RULES[node.op_type].rewrite(model, node, opset)
    model.graph.opset_imports[""] = opset
    model.ir_version = ir_version(opset)


def why_not_older(node: ir.Node, opset: int) -> str | None:
    """Why a node of opset 18 has no form in an older opset; None if it has one."""
    if not _changed(node, opset):
        return None
    rule = RULES.get(node.op_type)
    if rule is not None:
        return rule.why_not(node, opset)
    return f"opset {opset} lacks it" if form(node.op_type, opset) is None else "its older form means something else"


def ir_version(opset: int) -> int:
    """The IR version that the first release of onnx with the opset wrote: 7 for 13 and 14, 8 for 15 to 17."""
    return int(onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid("", opset)]))


def _changed(node: ir.Node, opset: int) -> bool:
    return node.domain in ("", "ai.onnx") and not is_same_form(node.op_type, opset)
