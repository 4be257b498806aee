"""Find the channels of a FLOAT graph that can be rescaled together without changing its results.

If a layer's output channel is divided by ``d`` (rows of a weight and its bias) and multiplied by ``d`` where a later
layer reads it (columns of a weight), everything in between must be positively homogeneous: ``f(x / d) = f(x) / d``.
ReLU, pools and adds are homogeneous; sigmoid is not. Every channel of every tensor gets a label, and channels that must
be rescaled together (the two sides of an add) get the same label. A label is fixed if an inhomogeneous operator reads
it, or if it is among the graph's outputs.

A clamp to ``[0, b]`` bounds its labels: their channels may only become wider (``d <= 1``), and the clamp has the same
effect as before if the channel stays below ``b * d``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import fx, nn

from ...graph.edit import clip_bounds, module_of, operator_of, why_not_replaceable
from ...graph.operators import Operator, Trait
from ...graph.shapes import shape_of
from .channel_moves import moved_axis


@dataclass(frozen=True)
class Channels:
    """The labels of a tensor's channels, which lie along dimension ``axis``."""

    axis: int
    labels: tuple[int, ...]


@dataclass
class ChannelLabels:
    """The result of :func:`label_channels`.

    Attributes:
        of: the channels of each tensor; None if they are fixed.
        reads: labels of a layer's input channels, by its node; layers whose input is fixed are left out.
        makes: labels of a layer's output channels.
        fixed: labels that must keep their scale.
        bound: the lowest clamp that a label passes.
        why_fixed: the node that fixed a label first.
    """

    of: dict[fx.Node, Channels | None] = field(default_factory=dict)
    reads: dict[fx.Node, tuple[int, ...]] = field(default_factory=dict)
    makes: dict[fx.Node, tuple[int, ...]] = field(default_factory=dict)
    fixed: dict[int, fx.Node] = field(default_factory=dict)
    bound: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._parent: list[int] = []

    def fresh(self, count: int) -> tuple[int, ...]:
        start = len(self._parent)
        self._parent.extend(range(start, start + count))
        return tuple(range(start, start + count))

    @property
    def count(self) -> int:
        """Number of labels; they are numbered from 0."""
        return len(self._parent)

    def find(self, label: int) -> int:
        """The representative of all labels that must be rescaled together with this one."""
        while self._parent[label] != label:
            self._parent[label] = self._parent[self._parent[label]]
            label = self._parent[label]
        return label

    def join(self, ours: tuple[int, ...], theirs: tuple[int, ...]) -> None:
        for a, b in zip(ours, theirs, strict=True):
            self._parent[self.find(a)] = self.find(b)

    def fix(self, channels: Channels | None, by: fx.Node) -> None:
        for label in channels.labels if channels else ():
            self.fixed.setdefault(label, by)

    def settle(self) -> ChannelLabels:
        """Replace every label by its representative."""
        one = self.find
        self.of = {n: c and Channels(c.axis, tuple(map(one, c.labels))) for n, c in self.of.items()}
        self.reads = {n: tuple(map(one, labels)) for n, labels in self.reads.items()}
        self.makes = {n: tuple(map(one, labels)) for n, labels in self.makes.items()}
        self.fixed = {one(label): by for label, by in self.fixed.items()}
        lowest: dict[int, float] = {}
        for label, bound in self.bound.items():
            lowest[one(label)] = min(bound, lowest.get(one(label), bound))
        self.bound = lowest
        return self


def label_channels(gm: fx.GraphModule) -> ChannelLabels:
    """Label the channels of every tensor of a FLOAT graph; the graph is not changed."""
    labels = ChannelLabels()
    for node in gm.graph.nodes:
        if _asks_about_shape(node):
            continue
        channels = _Labelling(gm, node, labels).channels()
        if channels is None:
            for source in node.all_input_nodes:
                labels.fix(labels.of.get(source), node)
        labels.of[node] = channels
    return labels.settle()


def _asks_about_shape(node: fx.Node) -> bool:
    """Whether a node reads only properties that scales do not change, for example shapes in vision transformers."""
    if node.op == "call_method":
        return node.target in ("size", "dim")
    return node.target is getattr and node.args[1] in ("shape", "dtype", "device", "ndim")


class _Labelling:
    """Channels of one node's output; None also fixes the channels of its inputs."""

    def __init__(self, gm: fx.GraphModule, node: fx.Node, labels: ChannelLabels) -> None:
        self.gm, self.node, self.labels = gm, node, labels

    def channels(self) -> Channels | None:
        operator = operator_of(self.gm, self.node)
        if operator is None or shape_of(self.node) is None:
            return None
        if operator.layers:
            return self._layer(operator)
        if Trait.KEEPS_CHANNELS in operator.traits:
            return self._source()
        rule = RULES.get(operator.name)
        return rule(self) if rule else None

    def _source(self, position: int = 0) -> Channels | None:
        source = self.node.args[position]
        return self.labels.of.get(source) if isinstance(source, fx.Node) else None

    def _layer(self, operator: Operator) -> Channels | None:
        rank = len(shape_of(self.node) or ())
        axis = operator.channel_axis % rank if rank else 0
        if Trait.RESCALES not in operator.traits:
            return None
        if len(self.node.all_input_nodes) != 1 or why_not_replaceable(self.gm, self.node):
            return None
        layer, source = module_of(self.gm, self.node, nn.Module), self._source()
        if isinstance(layer, nn.LayerNorm) and (layer.weight is None or len(layer.normalized_shape) > 1):
            return None
        if source is not None and source.axis == axis and operator.weight_axis is not None:
            self.labels.reads[self.node] = source.labels
        else:
            self.labels.fix(source, self.node)
        made = self.labels.makes[self.node] = self.labels.fresh((shape_of(self.node) or ())[axis])
        return Channels(axis, made)

    def _fixed(self) -> None:
        """No rule is known, or the operator is not homogeneous: its inputs keep their channels as they are."""

    def _clip(self) -> Channels | None:
        bounds, source = clip_bounds(self.gm, self.node), self._source()
        if bounds is None or bounds[0] != 0.0 or source is None:
            return None
        for label in source.labels:
            self.labels.bound[label] = min(bounds[1], self.labels.bound.get(label, bounds[1]))
        return source

    def _add(self) -> Channels | None:
        if self.node.kwargs.get("alpha", 1) != 1:
            return None
        return self._joined([self._source(0), self._source(1)], self.node.args)

    def _joined(self, parts: list[Channels | None], tensors: Any) -> Channels | None:
        """One set of channels for several tensors of one shape."""
        shapes = {shape_of(t) if isinstance(t, fx.Node) else None for t in tensors}
        first = parts[0]
        if first is None or len(shapes) != 1 or any(p is None or p.axis != first.axis for p in parts):
            return None
        for part in parts[1:]:
            assert part is not None
            self.labels.join(first.labels, part.labels)
        return first

    def _mul(self) -> Channels | None:
        """Channels of a product, homogeneous in each factor: those of the factor with the output's shape."""
        shape = shape_of(self.node)
        for position, factor in enumerate(self.node.args):
            channels = self._source(position)
            if isinstance(factor, fx.Node) and shape_of(factor) == shape and channels is not None:
                for other in self.node.args[:position] + self.node.args[position + 1 :]:
                    self.labels.fix(self.labels.of.get(other) if isinstance(other, fx.Node) else None, self.node)
                return channels
        return None

    def _cat(self) -> Channels | None:
        tensors: Any = self.node.args[0]
        if not isinstance(tensors, (list, tuple)) or not all(isinstance(t, fx.Node) for t in tensors):
            return None
        parts = [self.labels.of.get(t) for t in tensors]
        rank = len(shape_of(self.node) or ())
        axes = {p.axis for p in parts if p is not None}
        dim = self.node.kwargs.get("dim", 0)
        if len(axes) != 1 or not isinstance(dim, int) or dim % rank != (axis := axes.pop()):
            return None
        found: list[int] = []
        for tensor, part in zip(tensors, parts, strict=True):
            if part is None:
                part = Channels(axis, self.labels.fresh((shape_of(tensor) or ())[axis]))
                self.labels.fix(part, self.node)
            found.extend(part.labels)
        return Channels(axis, tuple(found))

    def _pad(self) -> Channels | None:
        source, pads = self._source(), self.node.kwargs.get("pad")
        rank = len(shape_of(self.node) or ())
        if source is None or not isinstance(pads, (list, tuple)) or not all(isinstance(p, int) for p in pads):
            return None
        if self.node.kwargs.get("mode", "constant") == "constant" and self.node.kwargs.get("value"):
            return None
        first = 2 * (rank - 1 - source.axis)  # pads come in pairs, the last dimension first
        before, after = (int(p) for p in pads[first : first + 2]) if len(pads) > first else (0, 0)
        if before < 0 or after < 0:
            return None
        return Channels(source.axis, (*self.labels.fresh(before), *source.labels, *self.labels.fresh(after)))

    def _slice(self) -> Channels | None:
        """Channels of a slice ``x[:, 2:5]``; ``x[:, 0]`` removes a dimension."""
        source = self._source()
        index = self.node.args[1] if len(self.node.args) > 1 else self.node.kwargs.get("index")
        if source is None or not isinstance(index, tuple) or not all(isinstance(i, (slice, int)) for i in index):
            return None
        cut = index[source.axis] if len(index) > source.axis else slice(None)
        if not isinstance(cut, slice) or any(isinstance(end, fx.Node) for end in (cut.start, cut.stop, cut.step)):
            return None
        gone = sum(isinstance(i, int) for i in index[: source.axis])
        return Channels(source.axis - gone, source.labels[cut])

    def _moved(self) -> Channels | None:
        source = self._source()
        axis = None if source is None else moved_axis(self.node, source.axis)
        return None if source is None or axis is None else Channels(axis, source.labels)

    def _flatten(self) -> Channels | None:
        source, tensor = self._source(), self.node.args[0]
        shape = shape_of(tensor) if isinstance(tensor, fx.Node) else None
        settings = self.node.kwargs.get("start_dim", 0), self.node.kwargs.get("end_dim", -1)
        if source is None or shape is None or source.axis != 1 or settings != (1, -1):
            return None
        repeats = 1
        for size in shape[2:]:
            repeats *= size
        return Channels(1, tuple(label for label in source.labels for _ in range(repeats)))

    def _mean(self) -> Channels | None:
        source, tensor, dims = self._source(), self.node.args[0], self.node.kwargs.get("dim")
        rank = len((shape_of(tensor) if isinstance(tensor, fx.Node) else None) or ())
        listed = dims if isinstance(dims, (list, tuple)) else [dims]
        gone = {d % rank for d in listed if isinstance(d, int)}
        if source is None or len(gone) != len(listed) or source.axis in gone:
            return None
        moved = 0 if self.node.kwargs.get("keepdim") else sum(d < source.axis for d in gone)
        return Channels(source.axis - moved, source.labels)


RULES: dict[str, Callable[[_Labelling], Channels | None]] = {
    **dict.fromkeys("sub div matmul scaled_dot_product_attention softmax".split(), _Labelling._fixed),
    **dict.fromkeys("squeeze unsqueeze chunk split unbind expand identity".split(), _Labelling._fixed),
    **dict.fromkeys(("pixel_shuffle", "channel_shuffle"), _Labelling._fixed),
    "clip": _Labelling._clip,
    "add": _Labelling._add,
    "mul": _Labelling._mul,
    "cat": _Labelling._cat,
    "pad": _Labelling._pad,
    "slice": _Labelling._slice,
    "flatten": _Labelling._flatten,
    "reshape": _Labelling._moved,
    "permute": _Labelling._moved,
    "transpose": _Labelling._moved,
    "roll": _Labelling._moved,
    "mean": _Labelling._mean,
}
"""Rules of operators that are neither layers, nor elementwise, nor keep their channels."""
