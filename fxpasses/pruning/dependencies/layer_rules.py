"""Rules of layers: they make channels, and sum over those they read. See :mod:`.labels`."""

from __future__ import annotations

import numpy as np
from torch import Tensor, fx, nn

from ...graph.edit import module_of, why_not_plain
from .labels import Dim, Labelling, Labels, Rules

RULES = Rules()
"""Rules of this file, by operator."""

_CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@RULES.of("linear")
def _linear(state: Labelling, node: fx.Node) -> Labels:
    layer, given = module_of(state.gm, node, nn.Linear), state.input(node)
    if why_not_plain(layer):
        return state.freeze_inputs(node, why_not_plain(layer) or "")
    state.tie(node, layer.weight, 1, given[-1])
    state.reads_sum(node, node.args[0], len(given) - 1, given[-1])
    return (*given[:-1], _made(state, node, layer.weight, 0, layer.bias))


@RULES.of("conv1d", "conv2d", "conv3d")
def _conv(state: Labelling, node: fx.Node) -> Labels:
    layer, given = module_of(state.gm, node, _CONVS), state.input(node)
    if why_not_plain(layer):
        return state.freeze_inputs(node, why_not_plain(layer) or "")
    axis = len(given) - layer.weight.dim() + 1
    channels = given[axis]
    _freeze_spatial(state, node, given[axis + 1 :])
    if layer.groups == 1:
        state.tie(node, layer.weight, 1, channels)
        state.reads_sum(node, node.args[0], axis, channels)
        made = _made(state, node, layer.weight, 0, layer.bias)
    elif _loses_groups(layer, channels):
        made = _whole_groups(state, node, layer, channels)
        state.tie(node, layer.weight, 0, made)
        state.tie(node, layer.bias, 0, made)
    else:
        state.tie(node, layer.weight, 1, _same_in_each_group(state, channels, layer.groups))
        state.reads_sum(node, node.args[0], axis, channels)
        made = _made(state, node, layer.weight, 0, layer.bias)
        _same_in_each_group(state, made, layer.groups)
    _remember(state, node, made)
    return (*given[:axis], made, *(None,) * (len(given) - axis - 1))


@RULES.of("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _conv_transpose(state: Labelling, node: fx.Node) -> Labels:
    layer, given = module_of(state.gm, node, _TRANSPOSED), state.input(node)
    if why_not_plain(layer):
        return state.freeze_inputs(node, why_not_plain(layer) or "")
    axis = len(given) - layer.weight.dim() + 1
    channels = given[axis]
    _freeze_spatial(state, node, given[axis + 1 :])
    state.tie(node, layer.weight, 0, channels)
    if layer.groups > 1 and _loses_groups(layer, channels):
        made: Dim = _whole_groups(state, node, layer, channels)
    else:
        _same_in_each_group(state, channels, layer.groups)
        state.reads_sum(node, node.args[0], axis, channels)
        in_group = state.along(node, layer.weight, 1, None)
        made = None if in_group is None else np.tile(in_group, layer.groups)
    state.tie(node, layer.bias, 0, made)
    _remember(state, node, made)
    return (*given[:axis], made, *(None,) * (len(given) - axis - 1))


@RULES.of("embedding")
def _embedding(state: Labelling, node: fx.Node) -> Labels:
    layer = module_of(state.gm, node, nn.Embedding)
    state.fix(node, layer.weight, 0)
    return (*state.unlabelled(node)[:-1], state.along(node, layer.weight, 1, None))


@RULES.of("batch_norm")
def _batch_norm(state: Labelling, node: fx.Node) -> Labels:
    layer, given = module_of(state.gm, node, _NORMS), state.input(node)
    if layer.running_mean is None:
        return state.freeze_inputs(node, "normalises by the statistics of the batch")
    for tensor in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
        state.tie(node, tensor, 0, given[1])
    return given


@RULES.of("group_norm")
def _group_norm(state: Labelling, node: fx.Node) -> Labels:
    """Unite the channels of each group: groups are normalised separately, so only whole groups can be removed."""
    layer, given = module_of(state.gm, node, nn.GroupNorm), state.input(node)
    channels = given[1]
    if channels is not None:
        groups = channels.reshape(layer.num_groups, -1)
        state.classes.unite(groups, np.broadcast_to(groups[:, :1], groups.shape))
        if layer.num_groups == 1:
            state.freeze(node, "(GroupNorm) normalises over all channels", channels)
    for tensor in (layer.weight, layer.bias):
        state.tie(node, tensor, 0, channels)
    return given


@RULES.of("layer_norm")
def _layer_norm(state: Labelling, node: fx.Node) -> Labels:
    layer, given = module_of(state.gm, node, nn.LayerNorm), state.input(node)
    normalised = given[len(given) - len(layer.normalized_shape) :]
    if state.through_layer_norm and len(normalised) == 1 and normalised[0] is not None:
        for tensor in (layer.weight, layer.bias):
            state.tie(node, tensor, 0, normalised[0])
        return given
    state.freeze(node, "(LayerNorm) normalises over all channels", *normalised)
    for tensor in (layer.weight, layer.bias):
        if isinstance(tensor, Tensor):
            for axis in range(tensor.dim()):
                state.fix(node, tensor, axis)
    return given


@RULES.of("prelu")
def _prelu(state: Labelling, node: fx.Node) -> Labels:
    layer, given = module_of(state.gm, node, nn.PReLU), state.input(node)
    if layer.num_parameters > 1:
        state.tie(node, layer.weight, 0, given[1])
    return given


def _made(state: Labelling, node: fx.Node, weight: Tensor, axis: int, bias: Tensor | None) -> Dim:
    """Output channels of a layer: new atoms at its first call, the same ones at every other call."""
    made = state.along(node, weight, axis, None)
    state.tie(node, bias, 0, made)
    _remember(state, node, made)
    return made


def _remember(state: Labelling, node: fx.Node, made: Dim) -> None:
    if made is not None:
        state.made.setdefault(str(node.target), made)


def _freeze_spatial(state: Labelling, node: fx.Node, dims: Labels) -> None:
    state.freeze(node, "slides a window along this dimension", *dims)


def _loses_groups(layer: nn.Module, channels: Dim) -> bool:
    """Whether whole groups are removed, as in a depthwise convolution, rather than the same channels of every group."""
    assert isinstance(layer, (*_CONVS, *_TRANSPOSED))
    return channels is not None and layer.groups >= layer.in_channels // layer.groups


def _whole_groups(state: Labelling, node: fx.Node, layer: nn.Module, channels: Dim) -> Dim:
    """Unite a group's inputs and outputs into one class."""
    assert isinstance(layer, (*_CONVS, *_TRANSPOSED)) and channels is not None
    groups = channels.reshape(layer.groups, -1)
    state.classes.unite(groups, np.broadcast_to(groups[:, :1], groups.shape))
    state.whole_groups.add(node)
    return np.repeat(groups[:, 0], layer.out_channels // layer.groups)


def _same_in_each_group(state: Labelling, channels: Dim, groups: int) -> Dim:
    """Unite the i-th channels of all groups, and return those of one group."""
    if channels is None:
        return None
    grouped = channels.reshape(groups, -1)
    state.classes.unite(grouped, np.broadcast_to(grouped[:1], grouped.shape))
    first: Dim = grouped[0]
    return first
