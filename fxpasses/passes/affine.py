"""Affine maps per channel, put into the weights of the convolution or linear layer before or behind them.

``y = a*x + b`` behind a layer gives ``W' = a*W``, ``bias' = a*bias + b``; ahead of one ``W' = W*a`` along the input
channels and ``bias' = bias + W*b``, which is correct only without zero padding of the shifted input. Equal up to float
rounding.

Weights: ``[C_out, C_in/groups, *kernel]``; transposed convolutions ``[C_in, C_out/groups, *kernel]``.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, fx, nn

from ..graph.edit import has_trait, module_of, only_reader, why_not_replaceable, with_parameters
from ..graph.operators import Trait
from ..graph.shapes import shape_of

Conv = nn.Conv1d | nn.Conv2d | nn.Conv3d
Transposed = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d
Layer = Conv | Transposed | nn.Linear

_CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_LAYERS = (*_CONVS, *_TRANSPOSED, nn.Linear)
_READERS = (*_CONVS, nn.Linear)


@dataclass(frozen=True)
class Affine:
    """An affine map per channel, ``y = factor*x + shift``, each ``[C]``, float64."""

    factor: Tensor
    shift: Tensor

    @property
    def shifts(self) -> bool:
        """Whether it maps 0 to something else in any channel."""
        return bool((self.shift != 0).any())


def why_not_behind(gm: fx.GraphModule, layer_node: fx.Node, node: fx.Node) -> str | None:
    """Reason why what ``node`` does to the output of a layer cannot go into the layer, or None."""
    if layer_node.op != "call_module" or type(gm.get_submodule(str(layer_node.target))) not in _LAYERS:
        return f"it follows {layer_node.name}, which is no convolution or linear layer"
    if only_reader(layer_node) is None:
        return f"{layer_node.name} has other readers: {', '.join(u.name for u in layer_node.users if u is not node)}"
    return why_not_replaceable(gm, layer_node)


def why_not_ahead(gm: fx.GraphModule, reader: fx.Node | None) -> str | None:
    """Reason why what is done to the input of ``reader`` cannot go into it, or None; padding is another question."""
    if reader is None:
        return "it has no single reader"
    if reader.op != "call_module" or type(gm.get_submodule(str(reader.target))) not in _READERS:
        return f"{reader.name}, which reads it, is no convolution or linear layer"
    return why_not_replaceable(gm, reader)


def pads_zeros(gm: fx.GraphModule, reader: fx.Node) -> bool:
    """Whether a layer pads its input with zeros, which a shift ahead of it would not move."""
    layer = module_of(gm, reader, _READERS)
    return isinstance(layer, _CONVS) and layer.padding_mode == "zeros" and any(_padding(layer))


def reader_ahead(gm: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    """The only reader of a node; where that pads space with values of its input, the reader behind it."""
    reader = only_reader(node)
    if reader is None or not has_trait(gm, reader, Trait.FILLS) or reader.kwargs.get("mode", "constant") == "constant":
        return reader
    amounts, shape, behind = reader.kwargs["pad"], shape_of(node) or (), only_reader(reader)
    in_space = isinstance(amounts, (tuple, list)) and len(amounts) <= 2 * (len(shape) - 2)
    # a linear layer has its channels last, where a convolution has space
    convolves = behind is not None and behind.op == "call_module" and is_convolution(gm, behind)
    return behind if in_space and convolves else reader


def is_convolution(gm: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a layer has its channels in dimension 1, counted from the batch, and space behind them."""
    return not isinstance(gm.get_submodule(str(node.target)), nn.Linear)


def scale_layer(gm: fx.GraphModule, layer_node: fx.Node, affine: Affine) -> None:
    """Put an affine map of a layer's outputs into the layer, which is replaced by a copy."""
    layer = module_of(gm, layer_node, _LAYERS)
    assert isinstance(layer, _LAYERS)
    gm.set_submodule(str(layer_node.target), _scale_outputs(layer, affine))


def scale_reader(gm: fx.GraphModule, reader: fx.Node, affine: Affine) -> None:
    """Put an affine map of a layer's inputs into the layer, which is replaced by a copy."""
    layer = module_of(gm, reader, _READERS)
    assert isinstance(layer, _READERS)
    gm.set_submodule(str(reader.target), _scale_inputs(layer, affine))


def _padding(conv: Conv) -> tuple[int, ...]:
    """Padding by dimension; ``'same'`` counts as padding if the kernel is larger than 1."""
    if isinstance(conv.padding, str):
        return tuple(0 if conv.padding == "valid" else k - 1 for k in conv.kernel_size)
    return tuple(int(p) for p in conv.padding)


def _scale_outputs(layer: Layer, affine: Affine) -> nn.Module:
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
