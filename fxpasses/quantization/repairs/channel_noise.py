"""Predict the noise of int8 rounding for channels that are rescaled together.

Everything is computed in double precision from statistics of the calibration data and from the weights; no graph runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from ...graph.edit import module_of
from ...graph.shapes import shape_of
from .channel_labels import ChannelLabels

STEPS = 255.0


@dataclass(frozen=True)
class ChannelRanges:
    """Lowest value, highest value and mean square of one tensor's channels over the data, float64 ``[C]`` each."""

    low: Tensor
    high: Tensor
    energy: Tensor


@dataclass(frozen=True)
class Reader:
    """A layer that reads the group, with its weight as ``[rows, inputs per row]``.

    If all rows read the same channels, ``channel``, ``squares`` (summed) and ``energy`` have one row for all.

    Attributes:
        channel: for each entry of the weight, the position of its channel in the group.
        widest: largest magnitude over the kernel.
        squares: sum of squares over the kernel.
        energy: mean square of the input channel.
        kernel: number of weights per entry.
        weight_steps: the largest integer of its weights.
        shares: for each of the group's tensors, the share of its rounding noise (a variance) that reaches this layer.
    """

    shares: Tensor
    channel: Tensor
    widest: Tensor
    squares: Tensor
    energy: Tensor
    kernel: int
    weight_steps: int

    @cached_property
    def power(self) -> Tensor:
        """Power of the layer's outputs if the input channels are independent; a scalar."""
        return (self.squares * self.energy).sum().clamp(min=1e-30)

    @property
    def is_depthwise(self) -> bool:
        return self.channel.shape[1] == 1


@dataclass
class ChannelGroup:
    """Labels that share tensors, and everything that depends on their divisors.

    Attributes:
        labels: in order; all positions below are positions in this list.
        tensors: for each int8 tensor the positions and ranges of its channels.
        readers: layers that read some of the channels.
        bound: the lowest clamp of each channel, ``[len(labels)]``; infinite without a clamp.
        fixed: whether the channel must keep its scale.
        name: name of the first node that computes one of the channels.
    """

    labels: list[int]
    bound: Tensor
    fixed: Tensor
    name: str
    tensors: list[tuple[Tensor, ChannelRanges]] = field(default_factory=list)
    readers: list[Reader] = field(default_factory=list)

    def noise(self, divisors: Tensor) -> Tensor:
        """Predicted rounding noise at the readers' outputs, relative to their power, summed over readers; a scalar."""
        steps = torch.stack([_width(r, divisors[at]) / STEPS for at, r in self.tensors])
        total = torch.zeros((), dtype=torch.float64)
        for r in self.readers:
            d = divisors[r.channel]
            rows = (r.widest * d.to(r.widest.dtype)).amax(1).double() / r.weight_steps
            of_weights = (rows.square() * (r.kernel * r.energy / d.square()).sum(1)).sum()
            of_inputs = (r.shares * steps.square()).sum() * (r.squares * d.square()).sum()
            total = total + (of_weights + of_inputs) / r.power
        return total / 12  # the variance of rounding to steps of one


def _width(ranges: ChannelRanges, d: Tensor) -> Tensor:
    return (ranges.high / d).amax().clamp(min=0) - (ranges.low / d).amin().clamp(max=0)


def channel_groups(
    gm: fx.GraphModule,
    labels: ChannelLabels,
    held: list[fx.Node],
    ranges: Mapping[fx.Node, ChannelRanges],
    weight_steps: int,
) -> list[ChannelGroup]:
    """Group the labels by the int8 tensors and layers that share them; groups without readers are left out.

    Args:
        held: tensors with an int8 scale of their own, all with channels.
        ranges: ranges of these tensors, and of the inputs of all layers in ``labels.reads``.
        weight_steps: the largest integer of a weight.
    """
    sets = [c.labels for c in labels.of.values() if c is not None] + [*labels.reads.values()]
    groups: dict[int, ChannelGroup] = {}
    place: dict[int, tuple[ChannelGroup, int]] = {}
    first_makers = _first_makers(labels)
    for members in _connected(sets):
        group = _group(members, labels, first_makers)
        groups[id(group)] = group
        place |= {label: (group, i) for i, label in enumerate(members)}
    order: dict[int, list[fx.Node]] = {}
    for tensor in held:
        channels = labels.of[tensor]
        assert channels is not None
        group = place[channels.labels[0]][0]
        group.tensors.append((torch.tensor([place[c][1] for c in channels.labels]), ranges[tensor]))
        order.setdefault(id(group), []).append(tensor)
    for node, read in labels.reads.items():
        group, source = place[read[0]][0], node.all_input_nodes[0]
        reach = _noise_reaching(source, labels)
        shares = torch.tensor([reach.get(t, 0.0) for t in order.get(id(group), [])], dtype=torch.float64)
        places = torch.tensor([place[c][1] for c in read])
        layer = module_of(gm, node, nn.Module)
        group.readers.append(_reader(layer, places, ranges[source].energy, shares, weight_steps))
    return [g for g in groups.values() if g.tensors and g.readers and not bool(g.fixed.all())]


def _group(members: list[int], labels: ChannelLabels, first_makers: Mapping[int, tuple[int, str]]) -> ChannelGroup:
    return ChannelGroup(
        labels=members,
        bound=torch.tensor([labels.bound.get(c, torch.inf) for c in members], dtype=torch.float64),
        fixed=torch.tensor([c in labels.fixed for c in members]),
        name=min((first_makers[c] for c in members if c in first_makers), default=(0, ""))[1],
    )


def _first_makers(labels: ChannelLabels) -> dict[int, tuple[int, str]]:
    """Position in graph order and name of a node, by the first label among its output channels."""
    found: dict[int, tuple[int, str]] = {}
    for order, (node, made) in enumerate(labels.makes.items()):
        if made:
            found.setdefault(made[0], (order, node.name))
    return found


def _connected(sets: list[tuple[int, ...]]) -> list[list[int]]:
    """Groups of labels that occur together, directly or indirectly."""
    parent: dict[int, int] = {}

    def find(a: int) -> int:
        while parent.setdefault(a, a) != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        return a

    for together in sets:
        for label in together:
            parent[find(label)] = find(together[0])
    found: dict[int, list[int]] = {}
    for label in sorted(parent):
        found.setdefault(find(label), []).append(label)
    return list(found.values())


def _noise_reaching(source: fx.Node, labels: ChannelLabels) -> dict[fx.Node, float]:
    """The tensors whose rounding noise reaches ``source``, and the share that does: averaging reduces noise."""
    shares: dict[fx.Node, float] = {}
    waiting = [(source, 1.0)]
    while waiting:
        node, share = waiting.pop()
        if share <= shares.get(node, 0.0):
            continue
        shares[node] = share
        if node not in labels.makes:
            for before in node.all_input_nodes:
                if labels.of.get(before) is not None:
                    waiting.append((before, share * _left_of_noise(node, before)))
    return shares


def _left_of_noise(node: fx.Node, before: fx.Node) -> float:
    """Share of the variance of independent noise after averaging: one divided by the number of averaged values."""
    if node.target not in (F.adaptive_avg_pool2d, F.avg_pool2d, torch.mean):
        return 1.0
    return math.prod(shape_of(node) or ()) / max(1, math.prod(shape_of(before) or ()))


def _reader(layer: nn.Module, places: Tensor, energy: Tensor, shares: Tensor, weight_steps: int) -> Reader:
    weight = layer.get_parameter("weight").detach()
    weight = weight.reshape(*weight.shape[:2], -1)
    at, squares = input_channels(layer, len(places)), weight.square().sum(2)
    if len(at) == 1:
        squares = squares.sum(0, keepdim=True, dtype=torch.float64)
    return Reader(shares, places[at], weight.abs().amax(2), squares.double(), energy[at], weight.shape[2], weight_steps)


def input_channels(layer: nn.Module, channels: int) -> Tensor:
    """Input channel of each entry of a weight: ``[C_out, C_in / groups]``; one row if all rows are the same."""
    groups = int(getattr(layer, "groups", 1))
    by_group = torch.arange(channels).reshape(groups, -1)
    rows = len(layer.get_parameter("weight"))
    return by_group.repeat_interleave(rows // groups, dim=0) if groups > 1 else by_group
