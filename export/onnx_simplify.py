"""What the exporter leaves to be tidied: constants to fold, casts of casts, reshapes of reshapes.

The passes are onnxscript's own, in the order of its optimizer. It is not called as it is because one of its 46
rules, which looks for a pair of Slices to make a Split of, goes through the whole graph for every node: on ViT that is
half of the time of an export. Rules for what a fused graph has none of (BatchNorm) are left out too.
"""

from __future__ import annotations

import onnx_ir as ir
import onnx_ir.passes.common as passes
from onnxscript import optimizer, rewriter
from onnxscript.rewriter.rules import common

ROUNDS = 2
"""Folding lets rules match, and the other way round."""

_RULES = (
    *(common.mul_by_1_rule, common.add_0_rule, common.sub_0_rule, common.div_by_1_rule),
    *(common.dropout_zero_rule, common.dropout_inference_rule),
    *(common.two_reshapes_matmul_reshape_rule, common.one_reshape_matmul_reshape_rule),
    *(common.cast_constant_of_shape_rule, common.cast_constant_of_shape_without_value_rule),
    *(common.collapse_slice_rule, common.collapse_slice2_rule, common.materialize_reshape_shape_rule),
    *(common.min_min_rule, common.max_max_rule, common.min_max_rule, common.max_min_rule),
    *(common.successive_clip_relu_rule, common.successive_relu_clip_rule),
    *(common.successive_relu_rule, common.successive_clip_rule),
    *(common.cast_cast_rule, common.no_op_cast_rule, common.no_op_expand_rule),
    *(common.flatten_to_reshape_rule, common.reshape_reshape_rule, common.squeeze_reshape_1d_rule),
    *(common.no_op_transpose_rule, common.transpose_transpose_rule, common.unsqueeze_unsqueeze_rule),
    *(common.no_op_dynamic_scatter_nd_rule, common.no_op_static_scatter_nd_rule),
    *(common.normalize_pad_format_conv_rule, common.fuse_pad_into_conv_rule),
    *(common.remove_optional_bias_from_conv_rule, common.remove_optional_bias_from_conv_transpose_rule),
    *(common.remove_optional_bias_from_gemm_rule,),
)


def simplify(model: ir.Model) -> None:
    """Tidy an exported model in place; what it computes stays."""
    passes.InlinePass()(model)
    rules = rewriter.RewritePass(_RULES)
    for _ in range(ROUNDS):
        folded = optimizer.fold_constants(model, onnx_shape_inference=True)
        rewritten = rules(model)
        optimizer.remove_unused_nodes(model)
        if not folded.modified and not rewritten.modified:
            break
    ending = ir.passes.Sequential(
        passes.RemoveUnusedFunctionsPass(),  # type: ignore[no-untyped-call]  # its __init__ says nothing
        passes.RemoveUnusedOpsetsPass(),
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        passes.LiftSubgraphInitializersToMainGraphPass(),
        passes.DeduplicateInitializersPass(),
        passes.CommonSubexpressionEliminationPass(),
        passes.OutputFixPass(),
        passes.NameFixPass(),
    )
    ending(model)
