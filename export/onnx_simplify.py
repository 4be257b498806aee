"""What the exporter leaves to be tidied: constants to fold, casts of casts, reshapes of reshapes.

The passes are onnxscript's own, in the order of its optimizer. It is not called as it is because one of its 46
rules, which looks for a pair of Slices to make a Split of, goes through the whole graph for every node: on ViT that is
half of the time of an export. Rules for what a fused graph has none of (BatchNorm) are left out too, and so is the
merging of equal nodes: each integer tensor of the graph keeps a node of its name (onnxruntime merges when it loads).
"""

from __future__ import annotations

import onnx_ir as ir
import onnx_ir.passes.common as passes
from onnxscript import optimizer, rewriter
from onnxscript.rewriter.rules import common

ROUNDS = 2
"""Folding lets rules match, and the other way round."""

_NAMES = (
    "mul_by_1 add_0 sub_0 div_by_1 dropout_zero dropout_inference two_reshapes_matmul_reshape "
    "one_reshape_matmul_reshape cast_constant_of_shape cast_constant_of_shape_without_value collapse_slice "
    "collapse_slice2 materialize_reshape_shape min_min max_max min_max max_min successive_clip_relu "
    "successive_relu_clip successive_relu successive_clip cast_cast no_op_cast no_op_expand flatten_to_reshape "
    "reshape_reshape squeeze_reshape_1d no_op_transpose transpose_transpose unsqueeze_unsqueeze "
    "no_op_dynamic_scatter_nd no_op_static_scatter_nd normalize_pad_format_conv fuse_pad_into_conv "
    "remove_optional_bias_from_conv remove_optional_bias_from_conv_transpose remove_optional_bias_from_gemm "
)
_RULES = [getattr(common, f"{name}_rule") for name in _NAMES.split() if hasattr(common, f"{name}_rule")]
"""Older versions of onnxscript have not all of them; then their files hold a node more."""


def inline(model: ir.Model) -> None:
    """Open the functions an exported model has for operators of ours."""
    passes.InlinePass()(model)


def simplify(model: ir.Model) -> None:
    """Tidy an exported, inlined model in place; what it computes stays."""
    rules = rewriter.RewritePass(_RULES)
    for _ in range(ROUNDS):
        folded = optimizer.fold_constants(model, onnx_shape_inference=True)
        rewritten = rules(model)
        _register_again(model)
        optimizer.remove_unused_nodes(model)
        if not folded.modified and not rewritten.modified:
            break
    ending = ir.passes.Sequential(
        passes.RemoveUnusedFunctionsPass(),  # type: ignore[no-untyped-call]  # its __init__ says nothing
        passes.RemoveUnusedOpsetsPass(),
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        passes.LiftSubgraphInitializersToMainGraphPass(),
        passes.DeduplicateInitializersPass(),
        passes.OutputFixPass(),
        passes.NameFixPass(),
    )
    ending(model)


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
