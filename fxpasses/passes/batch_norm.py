"""Fold BatchNorm into the layer before it, or after it.

In eval mode BatchNorm is ``y = a*x + b`` per channel with ``a = gamma / sqrt(var + eps)``, ``b = beta - a*mean``
(Ioffe and Szegedy 2015). A convolution or linear layer before it gets ``W' = a*W``, ``bias' = a*bias + b``. One after
it gets ``W' = W*a`` along the input channels and ``bias' = bias + W*b``, which is correct only without zero padding of
the shifted input. Equal up to float rounding.

Weights: ``[C_out, C_in/groups, *kernel]``; transposed convolutions ``[C_in, C_out/groups, *kernel]``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from ..graph.edit import (
    bypass,
    has_trait,
    is_finite,
    module_of,
    only_reader,
    why_not_plain,
    why_not_replaceable,
    with_parameters,
)
from ..graph.operators import Trait
from ..graph.pass_runner import PassResult
from ..graph.shapes import shape_of

Conv = nn.Conv1d | nn.Conv2d | nn.Conv3d
Transposed = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d
BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_LAYERS = (*_CONVS, *_TRANSPOSED, nn.Linear)
_READERS = (*_CONVS, nn.Linear)


@dataclass(frozen=True)
class Affine:
    """An affine map per channel, ``y = factor*x + shift``, each ``[C]``."""

    factor: Tensor
    shift: Tensor


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
        layer = module_of(gm, layer_node, _LAYERS)
        assert isinstance(layer, _LAYERS)
        gm.set_submodule(str(layer_node.target), _scale_outputs(layer, affine_of(batch_norm_of(gm, bn_node))))
        result.fold(bn_node, layer_node)
        bypass(gm, bn_node, layer_node)
    return result


def fold_batch_norm_forward(gm: fx.GraphModule) -> PassResult:
    """Fold each remaining BatchNorm into the convolution or linear layer that is its only reader, where possible."""
    result = PassResult()
    for bn_node in _batch_norms(gm):
        reader = _reader_ahead(gm, bn_node)
        why = why_not_affine(gm, bn_node) or _why_not_ahead(gm, bn_node, reader)
        if why:
            result.skip(bn_node, why)
            continue
        assert reader is not None
        layer = module_of(gm, reader, _READERS)
        assert isinstance(layer, _READERS)
        gm.set_submodule(str(reader.target), _scale_inputs(layer, affine_of(batch_norm_of(gm, bn_node))))
        result.change(bn_node, f"folded into {reader.name}, which reads it")
        bypass(gm, bn_node, bn_node.all_input_nodes[0])
    return result


def _reader_ahead(gm: fx.GraphModule, bn_node: fx.Node) -> fx.Node | None:
    """The only reader of a BatchNorm; where that pads space with values of its input, the reader behind it."""
    reader = only_reader(bn_node)
    if reader is None or not has_trait(gm, reader, Trait.FILLS) or reader.kwargs.get("mode", "constant") == "constant":
        return reader
    amounts, shape = reader.kwargs["pad"], shape_of(bn_node) or ()
    in_space = isinstance(amounts, (tuple, list)) and len(amounts) <= 2 * (len(shape) - 2)
    return only_reader(reader) if in_space else reader


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
    if layer_node.op != "call_module" or type(gm.get_submodule(str(layer_node.target))) not in _LAYERS:
        return f"it follows {layer_node.name}, which is no convolution or linear layer"
    if only_reader(layer_node) is None:
        return f"{layer_node.name} has other readers: {', '.join(u.name for u in layer_node.users if u is not bn_node)}"
    why = why_not_replaceable(gm, layer_node) or why_not_affine(gm, bn_node)
    if why:
        return why
    if isinstance(module_of(gm, layer_node, _LAYERS), nn.Linear) and len(shape_of(layer_node) or ()) != 2:
        return f"{layer_node.name} has features in its last dimension, the BatchNorm in dimension 1"
    return None


def _why_not_ahead(gm: fx.GraphModule, bn_node: fx.Node, reader: fx.Node | None) -> str | None:
    """Reason why an affine BatchNorm cannot be folded into the node that reads it, or None."""
    if reader is None:
        return "it has no single reader"
    if reader.op != "call_module" or type(gm.get_submodule(str(reader.target))) not in _READERS:
        return f"{reader.name}, which reads it, is no convolution or linear layer"
    why = why_not_replaceable(gm, reader)
    if why:
        return why
    layer = module_of(gm, reader, _READERS)
    if isinstance(layer, _CONVS):
        shifts = bool((affine_of(batch_norm_of(gm, bn_node)).shift != 0).any())
        mixes = shifts and layer.padding_mode == "zeros" and any(_padding(layer))
        return f"{reader.name} pads with zeros after the BatchNorm's shift" if mixes else None
    return None if len(shape_of(bn_node) or ()) == 2 else f"{reader.name} reads another dimension than it normalises"


def _padding(conv: Conv) -> tuple[int, ...]:
    """Padding by dimension; ``'same'`` counts as padding if the kernel is larger than 1."""
    if isinstance(conv.padding, str):
        return tuple(0 if conv.padding == "valid" else k - 1 for k in conv.kernel_size)
    return tuple(int(p) for p in conv.padding)


def _scale_outputs(layer: Conv | Transposed | nn.Linear, affine: Affine) -> nn.Module:
    weight, dtype = layer.weight.detach().double(), layer.weight.dtype
    if isinstance(layer, _TRANSPOSED):
        grouped = weight.reshape(layer.groups, -1, *weight.shape[1:])
        factor = affine.factor.reshape(layer.groups, 1, -1, *[1] * (weight.dim() - 2))
        scaled = (grouped * factor).reshape(weight.shape)
    else:
        scaled = weight * affine.factor.reshape(-1, *[1] * (weight.dim() - 1))
    bias = affine.shift if layer.bias is None else layer.bias.detach().double() * affine.factor + affine.shift
    return with_parameters(layer, weight=scaled.to(dtype), bias=bias.to(dtype))


def _scale_inputs(layer: Conv | nn.Linear, affine: Affine) -> nn.Module:
    weight, dtype = layer.weight.detach().double(), layer.weight.dtype
    groups = 1 if isinstance(layer, nn.Linear) else layer.groups
    grouped = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
    per_input = (groups, 1, -1, *[1] * (weight.dim() - 2))
    scaled = (grouped * affine.factor.reshape(per_input)).reshape(weight.shape)
    shift = (grouped * affine.shift.reshape(per_input)).flatten(2).sum(2).flatten()
    bias = shift if layer.bias is None else layer.bias.detach().double() + shift
    return with_parameters(layer, weight=scaled.to(dtype), bias=bias.to(dtype))
