"""Finds the layers of a graph with weights to prune, and those that a caller's patterns match.

A layer is named by its path, the target of the node that calls it. Prunable layers are those that int8 supports, too:
convolutions, transposed convolutions and linear layers whose weight is a parameter, not computed by a hook.
"""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, fx, nn

from ...errors import InputError
from ...graph.edit import operator_name, operator_of, why_not_plain

NAMES_LISTED = 8
Layer = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d | nn.Linear
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED, nn.Linear)


def prunable_layers(gm: fx.GraphModule) -> dict[str, Layer]:
    """Path and module of every layer with a weight to prune, in the order of their first call."""
    found: dict[str, Layer] = {}
    for node in gm.graph.nodes:
        operator = operator_of(gm, node) if node.op == "call_module" else None
        if operator is None or operator.weight_axis is None:
            continue
        layer = gm.get_submodule(str(node.target))
        if isinstance(layer, LAYERS) and why_not_plain(layer) is None and not any(m is layer for m in found.values()):
            found[str(node.target)] = layer
    return found


def layers_matching(gm: fx.GraphModule, patterns: Sequence[str] | str | None = None) -> dict[str, Layer]:
    """Prunable layers that a pattern matches; all of them without patterns.

    A pattern is a path or an operator, with shell wildcards: ``"layer1.*"``, ``"linear"``, ``"conv*"``.

    Raises:
        InputError: there is no prunable layer, or a pattern matches none; the nearest path is suggested.
    """
    layers = prunable_layers(gm)
    if not layers:
        raise InputError(
            "nothing to prune", why="the graph calls no convolution and no linear layer", fix="check the model"
        )
    if patterns is None:
        return layers
    operators = {str(n.target): operator_name(gm, n) or "" for n in gm.graph.nodes if n.op == "call_module"}
    chosen: set[str] = set()
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        matched = {path for path in layers if any(fnmatch.fnmatchcase(n, pattern) for n in (path, operators[path]))}
        if not matched:
            raise unknown_layer(pattern, [*layers, *operators.values()])
        chosen |= matched
    return {path: layer for path, layer in layers.items() if path in chosen}


def unknown_layer(name: str, known: Iterable[str]) -> InputError:
    """Error for a layer that does not exist, or has no weights to prune."""
    names = list(dict.fromkeys(name for name in known if name))
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    listed = ", ".join(names[:NAMES_LISTED]) + (", ..." if len(names) > NAMES_LISTED else "")
    return InputError(
        f"layer {name!r}",
        why="no convolution or linear layer of the model is called that",
        fix=f"did you mean {' or '.join(map(repr, near))}?" if near else f"the model has {listed}",
    )


def output_axis(layer: nn.Module) -> int:
    """Axis of the output channels in the weight; for transposed layers with groups it holds those of one group only."""
    return 1 if isinstance(layer, TRANSPOSED) else 0


def output_channels(layer: Layer) -> int:
    return layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels


def by_output(layer: Layer, values: Tensor) -> Tensor:
    """Reshape values with the shape of the layer's weight to ``[C_out, n]``, one row for each output channel."""
    if not isinstance(layer, TRANSPOSED):
        return values.flatten(1)
    grouped: Tensor = values.unflatten(0, (layer.groups, -1)).transpose(
        1, 2
    )  # [groups, C_out/groups, C_in/groups, *kernel]
    return torch.flatten(grouped.flatten(0, 1), 1)


def spread_over_weight(layer: Layer, channels: Tensor) -> Tensor:
    """Repeat values of output channels, ``[C_out]``, to the shape of the layer's weight."""
    weight = layer.weight
    if not isinstance(layer, TRANSPOSED):
        return channels.reshape(-1, *[1] * (weight.dim() - 1)).expand_as(weight)
    grouped = channels.reshape(layer.groups, 1, -1).expand(-1, weight.shape[0] // layer.groups, -1).flatten(0, 1)
    return grouped.reshape(*weight.shape[:2], *[1] * (weight.dim() - 2)).expand_as(weight)
