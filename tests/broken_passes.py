"""Wrong passes, each with one error. The contract must reject every one of them.

Found a new kind of bug? Add the pass that has it here first, and check that the contract rejects it, before the fix.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from fxpasses.graph.edit import bypass, clip_bounds, operator_name, respell, with_parameters
from fxpasses.graph.pass_runner import PassResult
from fxpasses.passes.batch_norm import affine_of
from fxpasses.passes.identities import drop_identities

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *_TRANSPOSED)


def _module(gm: fx.GraphModule, node: fx.Node) -> Any:
    return gm.get_submodule(str(node.target)) if node.op == "call_module" else None


def _pairs(gm: fx.GraphModule, result: PassResult) -> Iterator[tuple[fx.Node, fx.Node]]:
    """BatchNorms after convolutions that nothing else reads or calls; the others are skipped with a reason."""
    for bn in [n for n in gm.graph.nodes if operator_name(gm, n) == "batch_norm"]:
        conv = bn.all_input_nodes[0]
        calls = [n for n in gm.graph.nodes if n.target == conv.target]
        if not isinstance(_module(gm, conv), _CONVS) or len(conv.users) > 1 or len(calls) > 1:
            result.skip(bn, "not behind a convolution of its own")
        else:
            yield bn, conv


def _per_output(weight: Tensor, factor: Tensor) -> Tensor:
    return weight * factor.reshape(-1, *[1] * (weight.dim() - 1))


def _fold(scale: Callable[[nn.Module, nn.Module], tuple[Tensor, Tensor]]) -> Callable[[fx.GraphModule], PassResult]:
    """A fold of BatchNorm that is right, except for the weight and bias that ``scale(conv, bn)`` gives."""

    def fold(gm: fx.GraphModule) -> PassResult:
        result = PassResult()
        for bn, conv in _pairs(gm, result):
            weight, bias = scale(_module(gm, conv), _module(gm, bn))
            gm.set_submodule(str(conv.target), with_parameters(_module(gm, conv), weight=weight, bias=bias))
            result.change(bn, f"folded into {conv.name}")
            bypass(gm, bn, conv)
        return result

    return fold


def deletes_batch_norm(gm: fx.GraphModule) -> PassResult:
    result = PassResult()
    for bn in [n for n in gm.graph.nodes if operator_name(gm, n) == "batch_norm"]:
        result.change(bn, "deleted")
        bypass(gm, bn, bn.all_input_nodes[0])
    return result


def _without_eps(conv: Any, bn: Any) -> tuple[Tensor, Tensor]:
    factor = (1.0 if bn.weight is None else bn.weight) / bn.running_var.sqrt()
    shift = (0.0 if bn.bias is None else bn.bias) - factor * bn.running_mean
    if isinstance(conv, _TRANSPOSED):
        return _grouped_transposed(conv, factor), factor * _bias(conv) + shift
    return _per_output(conv.weight, factor), factor * _bias(conv) + shift


def _grouped_transposed(conv: Any, factor: Tensor) -> Tensor:
    grouped = conv.weight.reshape(conv.groups, -1, *conv.weight.shape[1:])
    scaled: Tensor = grouped * factor.reshape(conv.groups, 1, -1, *[1] * (conv.weight.dim() - 2))
    return scaled.reshape(conv.weight.shape)


def _bias(conv: Any) -> Any:
    return 0.0 if conv.bias is None else conv.bias


def _factor_and_shift(bn: Any) -> tuple[Tensor, Tensor]:
    affine = affine_of(bn)
    return affine.factor, affine.shift


def _along_the_first_axis(conv: Any, bn: Any) -> tuple[Tensor, Tensor]:
    """Take axis 0 of a transposed convolution for the outputs; it is the inputs."""
    factor, shift = _factor_and_shift(bn)
    inputs = conv.weight.shape[0]
    repeated = factor.repeat(math.ceil(inputs / len(factor)))[:inputs]
    return _per_output(conv.weight, repeated), factor * _bias(conv) + shift


def _ignoring_groups(conv: Any, bn: Any) -> tuple[Tensor, Tensor]:
    """Scales every group of a transposed convolution by the factors of the first."""
    factor, shift = _factor_and_shift(bn)
    if not isinstance(conv, _TRANSPOSED):
        return _per_output(conv.weight, factor), factor * _bias(conv) + shift
    first = factor[: conv.weight.shape[1]].reshape(1, -1, *[1] * (conv.weight.dim() - 2))
    return conv.weight * first, factor * _bias(conv) + shift


def _in_float32(conv: Any, bn: Any) -> tuple[Tensor, Tensor]:
    factor, shift = (t.float().to(conv.weight.dtype) for t in _factor_and_shift(bn))
    if isinstance(conv, _TRANSPOSED):
        return _grouped_transposed(conv, factor), factor * _bias(conv) + shift
    return _per_output(conv.weight, factor), factor * _bias(conv) + shift


def _without_bias(conv: Any, bn: Any) -> tuple[Tensor, Tensor]:
    factor, shift = _factor_and_shift(bn)
    if isinstance(conv, _TRANSPOSED):
        return _grouped_transposed(conv, factor), shift
    return _per_output(conv.weight, factor), shift


folds_ignoring_eps = _fold(_without_eps)
folds_along_wrong_axis = _fold(_along_the_first_axis)
folds_ignoring_groups = _fold(_ignoring_groups)
folds_in_float32 = _fold(_in_float32)
folds_forgetting_the_bias = _fold(_without_bias)


def folds_despite_other_readers(gm: fx.GraphModule) -> PassResult:
    result = PassResult()
    for bn in [n for n in gm.graph.nodes if operator_name(gm, n) == "batch_norm"]:
        conv = bn.all_input_nodes[0]
        calls = [n for n in gm.graph.nodes if n.target == conv.target]
        if type(_module(gm, conv)) is not nn.Conv2d or len(calls) > 1:
            result.skip(bn, "not behind a convolution of its own")
            continue
        layer = _module(gm, conv)
        factor, shift = _factor_and_shift(_module(gm, bn))
        factor, shift = factor.to(layer.weight.dtype), shift.to(layer.weight.dtype)
        weight, bias = _per_output(layer.weight, factor), factor * _bias(layer) + shift
        gm.set_submodule(str(conv.target), with_parameters(layer, weight=weight, bias=bias))
        result.change(bn, f"folded into {conv.name}")
        bypass(gm, bn, conv)
    return result


def edits_a_shared_module(gm: fx.GraphModule) -> PassResult:
    """Folds into a layer that is called elsewhere too."""
    result = PassResult()
    for bn in [n for n in gm.graph.nodes if operator_name(gm, n) == "batch_norm"]:
        conv = bn.all_input_nodes[0]
        if type(_module(gm, conv)) is not nn.Conv2d or len(conv.users) > 1:
            result.skip(bn, "not behind a convolution of its own")
            continue
        layer = _module(gm, conv)
        factor, shift = _factor_and_shift(_module(gm, bn))
        factor, shift = factor.to(layer.weight.dtype), shift.to(layer.weight.dtype)
        weight, bias = _per_output(layer.weight, factor), factor * _bias(layer) + shift
        everywhere = [n.name for n in gm.graph.nodes if n.target == conv.target]
        gm.set_submodule(str(conv.target), with_parameters(layer, weight=weight, bias=bias))
        result.change(bn, f"folded into {' '.join(everywhere)}")
        bypass(gm, bn, conv)
    return result


def folds_forward_through_padding(gm: fx.GraphModule) -> PassResult:
    result = PassResult()
    for bn in [n for n in gm.graph.nodes if operator_name(gm, n) == "batch_norm"]:
        reader = next(iter(bn.users))
        layer = _module(gm, reader)
        if type(layer) is not nn.Conv2d or len(bn.users) > 1 or layer.groups > 1 or layer.padding_mode != "zeros":
            result.skip(bn, "not ahead of a convolution")
            continue
        factor, shift = _factor_and_shift(_module(gm, bn))
        bias = _bias(layer) + (layer.weight * shift.reshape(1, -1, 1, 1)).sum((1, 2, 3))
        folded = with_parameters(layer, weight=layer.weight * factor.reshape(1, -1, 1, 1), bias=bias)
        gm.set_submodule(str(reader.target), folded)
        result.change(bn, f"folded into {reader.name}")
        bypass(gm, bn, bn.all_input_nodes[0])
    return result


def drops_every_dropout(gm: fx.GraphModule) -> PassResult:
    """Drop every dropout, also one with ``training=True``."""
    result = drop_identities(gm)
    dropouts = [n for n in gm.graph.nodes if n.target is F.dropout]
    for node in dropouts:
        result.skipped = [s for s in result.skipped if s.node != node.name]
        result.change(node, "dropped")
        bypass(gm, node, node.all_input_nodes[0])
    return result


def _merge(compose: Callable[[Any, Any], tuple[float, float]]) -> Callable[[fx.GraphModule], PassResult]:
    """A merge of clips that is right, except for the bounds that ``compose(inner, outer)`` gives."""

    def merge(gm: fx.GraphModule) -> PassResult:
        result = PassResult()
        for inner in list(gm.graph.nodes):
            outer = next((u for u in inner.users if operator_name(gm, u) in ("relu", "clip")), None)
            if operator_name(gm, inner) not in ("relu", "clip") or outer is None:
                continue
            bounds, outer_bounds = clip_bounds(gm, inner), clip_bounds(gm, outer)
            if (
                bounds is None
                or outer_bounds is None
                or len(inner.users) > 1
                or not inner.meta["dtype"].is_floating_point
            ):
                result.skip(inner, "not to be merged")
                continue
            low, high = compose(bounds, outer_bounds)
            result.change(inner, f"merged into {outer.name}")
            respell(outer, torch.clamp, min=low, max=high)
            bypass(gm, inner, inner.all_input_nodes[0])
        return result

    return merge


keeps_the_outer_clip_only = _merge(lambda inner, outer: outer)
intersects_clips = _merge(lambda inner, outer: (max(inner[0], outer[0]), min(inner[1], outer[1])))
