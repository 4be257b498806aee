"""Fold BatchNorm into the layer before it, or after it.

In eval mode BatchNorm is ``y = a*x + b`` per channel with ``a = gamma / sqrt(var + eps)``, ``b = beta - a*mean``
(Ioffe and Szegedy 2015); :mod:`.affine` puts such a map into a layer. Equal up to float rounding.
"""

from __future__ import annotations

import torch
from torch import fx, nn

from ..graph.edit import bypass, has_trait, is_finite, module_of, why_not_plain
from ..graph.operators import Trait
from ..graph.pass_runner import PassResult
from ..graph.shapes import shape_of
from .affine import (
    Affine,
    is_convolution,
    pads_zeros,
    reader_ahead,
    scale_layer,
    scale_reader,
    why_not_ahead,
    why_not_behind,
)

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def batch_norm_of(gm: fx.GraphModule, node: fx.Node) -> BatchNorm:
    """The BatchNorm that a node calls."""
    bn = module_of(gm, node, _BATCH_NORMS)
    assert isinstance(bn, _BATCH_NORMS)
    return bn


def affine_of(bn: BatchNorm) -> Affine:
    """The affine map of a BatchNorm in eval mode, in float64 so that folding rounds once."""
    assert bn.running_mean is not None and bn.running_var is not None
    gamma = torch.ones_like(bn.running_var) if bn.weight is None else bn.weight.detach()
    beta = torch.zeros_like(bn.running_mean) if bn.bias is None else bn.bias.detach()
    factor = gamma.double() / torch.sqrt(bn.running_var.double() + bn.eps)
    return Affine(factor, beta.double() - factor * bn.running_mean.double())


def fold_batch_norm(gm: fx.GraphModule) -> PassResult:
    """Fold each BatchNorm into the convolution or linear layer before it."""
    result = PassResult()
    for bn_node in _batch_norms(gm):
        layer_node = bn_node.all_input_nodes[0]
        why = _why_not_behind(gm, layer_node, bn_node)
        if why:
            result.skip(bn_node, why)
            continue
        scale_layer(gm, layer_node, affine_of(batch_norm_of(gm, bn_node)))
        result.fold(bn_node, layer_node)
        bypass(gm, bn_node, layer_node)
    return result


def fold_batch_norm_forward(gm: fx.GraphModule) -> PassResult:
    """Fold each remaining BatchNorm into the convolution or linear layer that is its only reader, where possible."""
    result = PassResult()
    for bn_node in _batch_norms(gm):
        reader = reader_ahead(gm, bn_node)
        why = why_not_affine(gm, bn_node) or _why_not_ahead(gm, bn_node, reader)
        if why:
            result.skip(bn_node, why)
            continue
        assert reader is not None
        scale_reader(gm, reader, affine_of(batch_norm_of(gm, bn_node)))
        result.change(bn_node, f"folded into {reader.name}, which reads it")
        bypass(gm, bn_node, bn_node.all_input_nodes[0])
    return result


def _batch_norms(gm: fx.GraphModule) -> list[fx.Node]:
    return [n for n in gm.graph.nodes if has_trait(gm, n, Trait.NORMALIZES)]


def why_not_affine(gm: fx.GraphModule, bn_node: fx.Node) -> str | None:
    """Reason why a BatchNorm is not one constant factor and shift per channel, or None."""
    bn = batch_norm_of(gm, bn_node)
    if bn.training or bn.running_mean is None:
        return "it normalises by the statistics of the batch, which are not known beforehand"
    affine, dtype = affine_of(bn), bn.running_mean.dtype
    if not is_finite(affine.factor.to(dtype), affine.shift.to(dtype)):
        return "its statistics or parameters are not finite, or its variance is zero"
    return why_not_plain(bn)


def _why_not_behind(gm: fx.GraphModule, layer_node: fx.Node, bn_node: fx.Node) -> str | None:
    """Reason why a BatchNorm cannot be folded into the node before it, or None."""
    why = why_not_behind(gm, layer_node, bn_node) or why_not_affine(gm, bn_node)
    if why:
        return why
    if not is_convolution(gm, layer_node) and len(shape_of(layer_node) or ()) != 2:
        return f"{layer_node.name} has features in its last dimension, the BatchNorm in dimension 1"
    return None


def _why_not_ahead(gm: fx.GraphModule, bn_node: fx.Node, reader: fx.Node | None) -> str | None:
    """Reason why an affine BatchNorm cannot be folded into the node that reads it, or None."""
    why = why_not_ahead(gm, reader)
    if why or reader is None:
        return why
    if is_convolution(gm, reader):
        mixes = affine_of(batch_norm_of(gm, bn_node)).shifts and pads_zeros(gm, reader)
        return f"{reader.name} pads with zeros after the BatchNorm's shift" if mixes else None
    return None if len(shape_of(bn_node) or ()) == 2 else f"{reader.name} reads another dimension than it normalises"
