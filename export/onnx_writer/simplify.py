"""Simplify an exported model: fold constants, casts of casts, and reshapes of reshapes.

The passes are those of onnxscript's optimizer, in the same order. The optimizer itself is not called because one of its
46 rules, which makes a Split of two Slices, searches the whole graph for every node: for ViT this is half of the time
of an export. Rules for operators that a fused graph does not have (BatchNorm) are left out, too, and so is the merging
of equal nodes: each integer tensor of the graph keeps a node with its name (onnxruntime merges nodes when it loads the
file).
"""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
import onnx_ir.passes.common as passes
from onnxscript import optimizer, rewriter
from onnxscript.rewriter.rules import common

ROUNDS = 2
"""Largest number of rounds: folding makes new rules match, and rules make new constants to fold."""

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
"""Rules by the last operator of their pattern: in a graph without this operator they need not be tried."""
RULES = {
    ending: [getattr(common, f"{name}_rule") for name in names.split() if hasattr(common, f"{name}_rule")]
    for ending, names in _NAMES.items()
}
"""Rule objects by operator; older versions of onnxscript lack some of them, and their files have more nodes."""
_MADE = {"Flatten": "Reshape", "Max": "Clip", "Min": "Clip", "Relu": "Clip"}
"""Operators that rules insert for others, to which further rules then apply."""


def inline(model: ir.Model) -> None:
    """Inline the functions that an exported model has for operators of ours; afterwards it has none."""
    passes.InlinePass()(model)
    model.functions.clear()  # inlined functions are no longer called


def simplify(model: ir.Model) -> None:
    """Simplify an exported, inlined model in place; its results do not change."""
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
    """Register constants again that rules have removed from the graph.

    Rules name a new constant after the tensor that it limits; if two limit the same tensor, the second replaces the
    first.
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
