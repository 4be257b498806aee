"""What the exporter leaves to be tidied: constants to fold, casts of casts, reshapes of reshapes.

The passes are onnxscript's own, in the order of its optimizer. It is not called as it is because one of its 46
rules, which looks for a pair of Slices to make a Split of, goes through the whole graph for every node: on ViT that is
half of the time of an export. Rules for what a fused graph has none of (BatchNorm) are left out too, and so is the
merging of equal nodes: each integer tensor of the graph keeps a node of its name (onnxruntime merges when it loads).
"""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
import onnx_ir.passes.common as passes
from onnxscript import optimizer, rewriter
from onnxscript.rewriter.rules import common

ROUNDS = 2
"""Folding lets rules match, and the other way round."""

_NAMES = {
    "Add": "add_0",
    "Cast": "cast_constant_of_shape cast_constant_of_shape_without_value cast_cast no_op_cast",
    "Clip": "successive_clip_relu successive_clip",
    "Conv": "normalize_pad_format_conv fuse_pad_into_conv remove_optional_bias_from_conv",
    "ConvTranspose": "remove_optional_bias_from_conv_transpose",
    "Div": "div_by_1",
    "Dropout": "dropout_zero dropout_inference",
    "Expand": "no_op_expand",
    "Flatten": "flatten_to_reshape",
    "Gemm": "remove_optional_bias_from_gemm",
    "Max": "max_max min_max",
    "Min": "min_min max_min",
    "Mul": "mul_by_1",
    "Relu": "successive_relu_clip successive_relu",
    "Reshape": "two_reshapes_matmul_reshape one_reshape_matmul_reshape materialize_reshape_shape reshape_reshape "
    "squeeze_reshape_1d",
    "ScatterND": "no_op_dynamic_scatter_nd no_op_static_scatter_nd",
    "Slice": "collapse_slice collapse_slice2",
    "Sub": "sub_0",
    "Transpose": "no_op_transpose transpose_transpose",
    "Unsqueeze": "unsqueeze_unsqueeze",
}
"""Rules by the node a match ends with: without that node in a graph, there is no need to look for the rest."""
RULES = {
    ending: [getattr(common, f"{name}_rule") for name in names.split() if hasattr(common, f"{name}_rule")]
    for ending, names in _NAMES.items()
}
"""Older versions of onnxscript have not all of them; then their files hold a node more."""
_MADE = {"Flatten": "Reshape", "Max": "Clip", "Min": "Clip", "Relu": "Clip"}
"""What rules put in the place of a node, for other rules to find."""


def inline(model: ir.Model) -> None:
    """Open the functions an exported model has for operators of ours; it has none afterwards."""
    passes.InlinePass()(model)
    model.functions.clear()  # of what is opened nothing is called any more


def simplify(model: ir.Model) -> None:
    """Tidy an exported, inlined model in place; what it computes stays."""
    for _ in range(ROUNDS):
        folded = optimizer.fold_constants(model, onnx_shape_inference=True)
        rules = _rules_for(model)
        rewritten = bool(rules) and rewriter.RewritePass(rules)(model).modified
        _register_again(model)
        optimizer.remove_unused_nodes(model)
        if not folded.modified and not rewritten:
            break
    ending = ir.passes.Sequential(
        passes.RemoveUnusedOpsetsPass(),
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        passes.LiftSubgraphInitializersToMainGraphPass(),
        passes.DeduplicateInitializersPass(),
        passes.OutputFixPass(),
        passes.NameFixPass(),
    )
    ending(model)


def _rules_for(model: ir.Model) -> list[Any]:
    present = {node.op_type for node in ir.traversal.RecursiveGraphIterator(model.graph)}
    present |= {made for ending, made in _MADE.items() if ending in present}
    return [rule for ending, rules in RULES.items() if ending in present for rule in rules]


def _register_again(model: ir.Model) -> None:
    """Give constants back to the graph that rules took from it.

    They name a new one after the tensor it limits, and of two that limit the same tensor the second takes the place of
    the first.
    """
    known = model.graph.initializers
    for value in (v for node in model.graph for v in node.inputs if v is not None):
        if value.const_value is None or value.producer() is not None or known.get(str(value.name)) is value:
            continue
        name, number = value.name, 0
        while value.name in known:
            number += 1
            value.name = f"{name}_{number}"
        model.graph.register_initializer(value)
