"""Groups of channels that belong together: the layers they belong to, and the channels that must stay.

The labels of :mod:`.labels` give classes of atoms. Classes that occur at exactly the same dimensions of the same
tensors are interchangeable, and form a group. Any classes of a group may be removed as long as one is left, so no
tensor ever loses its last channel. The output channels of a convolution are usually one group. Those of a residual
stage are one group, together with all layers that add to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from torch import fx

from ...graph.stages import Stage, check_stage
from .atoms import AtomClasses, Atoms, Reason
from .labels import Dim, Labelling
from .outside_rules import rule_outside
from .rules import RULES

SEED = 0


@dataclass(frozen=True)
class ChannelGroup:
    """A group of channels; any of them can be removed, except the last.

    Attributes:
        classes: classes that can be removed, one number each, ``[n]``.
        layers: paths of all layers that have these among their output channels, in the order of the graph.
        multiplicity: number of output channels of the first layer in one class: the number of attention heads, say.
    """

    classes: Atoms
    layers: tuple[str, ...]
    multiplicity: int

    @property
    def name(self) -> str:
        return self.layers[0]


@dataclass(frozen=True)
class Dependencies:
    """Result of :func:`find_dependencies` for ``gm``, which must not change while the result is used."""

    gm: fx.GraphModule
    labelling: Labelling

    @property
    def classes(self) -> AtomClasses:
        return self.labelling.classes

    @cached_property
    def made(self) -> dict[str, Atoms]:
        """Class of each output channel, by path of the layer."""
        return {path: self.classes.roots(atoms) for path, atoms in self.labelling.made.items()}

    @cached_property
    def groups(self) -> tuple[ChannelGroup, ...]:
        """All groups of at least two classes, in the order of their first layers."""
        fixed = self.classes.frozen_roots()
        signatures, found = self._signatures(), dict[int, ChannelGroup]()
        layers: dict[int, list[str]] = {}
        for path, roots in self.made.items():
            for key in np.unique(signatures[roots]).tolist():
                layers.setdefault(key, []).append(path)
        for roots in self.made.values():
            free = np.unique(roots[~np.isin(roots, fixed)])
            for key in np.unique(signatures[free]).tolist():
                members = free[signatures[free] == key]
                if key not in found and len(members) > 1:
                    multiplicity = int((roots == members[0]).sum())
                    found[key] = ChannelGroup(members, tuple(layers[key]), multiplicity)
        return tuple(found.values())

    @cached_property
    def frozen(self) -> dict[str, Reason]:
        """Reason of each layer that keeps all its output channels, by path."""
        free = np.concatenate([group.classes for group in self.groups] or [np.empty(0, np.int64)])
        alone = Reason("it", "has no two output channels that could stand in for each other")
        return {
            path: next((r for root in roots.tolist() if (r := self.classes.reason(root))), alone)
            for path, roots in self.made.items()
            if not np.isin(roots, free).any()
        }

    def _signatures(self) -> npt.NDArray[np.uint64]:
        """A number for each class, made of its places and how often it is there: a sum of random numbers, one for each
        place.
        """
        generator = np.random.default_rng(SEED)
        numbers = np.zeros(self.classes.count, np.uint64)
        for dim in self._dimensions():
            place = generator.integers(0, 2**64, dtype=np.uint64)
            np.add.at(numbers, self.classes.roots(dim), place)
        return numbers

    def _dimensions(self) -> Iterator[Atoms]:
        held: list[Dim] = [dim for labels in self.labelling.of.values() for dim in labels]
        return (dim for dim in [*held, *self.labelling.parameters.values()] if dim is not None)


def find_dependencies(gm: fx.GraphModule, *, through_layer_norm: bool = False) -> Dependencies:
    """Find the channels of a captured or fused FLOAT graph that belong together.

    Args:
        gm: the graph.
        through_layer_norm: let LayerNorm normalise over the channels that are left. Otherwise channels stay that a
            LayerNorm reads together, since its statistics would change; see
            :mod:`fxpasses.pruning.channels.layer_norms`.

    Raises:
        GraphError: the graph is in another stage.
    """
    check_stage(gm, Stage.FLOAT, "find_dependencies")
    return Dependencies(gm, Labelling(gm, RULES, rule_outside, through_layer_norm).run())
