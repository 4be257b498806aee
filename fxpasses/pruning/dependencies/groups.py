"""Which channels of a graph go together, which layers they belong to, and which must stay.

From the labels of :mod:`.labels`: classes of atoms that occur at exactly the same dimensions of the same tensors are
interchangeable, and form a group. From a group any classes may be removed, as long as one is left; then no tensor ever
loses its last channel. The output channels of a convolution are usually one group; those of a residual stage are one
group with all the layers that add to it.
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
from .rules import RULES

SEED = 0


@dataclass(frozen=True)
class ChannelGroup:
    """Channels any of which can be removed, except the last.

    Attributes:
        classes: what can be removed, one number each, ``[n]``.
        layers: paths of all layers that have these among their output channels, in the order of the graph.
        multiplicity: how many output channels of the first layer one class is: the heads of attention, say.
    """

    classes: Atoms
    layers: tuple[str, ...]
    multiplicity: int

    @property
    def name(self) -> str:
        return self.layers[0]


@dataclass(frozen=True)
class Dependencies:
    """What :func:`find_dependencies` found in ``gm``, which must not change while they are used."""

    gm: fx.GraphModule
    labelling: Labelling

    @property
    def classes(self) -> AtomClasses:
        return self.labelling.classes

    @cached_property
    def made(self) -> dict[str, Atoms]:
        """The class of each output channel, by path of the layer."""
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
        """Why a layer keeps all its output channels, by path, for every layer that does."""
        free = np.concatenate([group.classes for group in self.groups] or [np.empty(0, np.int64)])
        alone = Reason("it", "has no two output channels that could stand in for each other")
        return {
            path: next((r for root in roots.tolist() if (r := self.classes.reason(root))), alone)
            for path, roots in self.made.items()
            if not np.isin(roots, free).any()
        }

    def _signatures(self) -> npt.NDArray[np.uint64]:
        """A number for each class that tells where it occurs and how often: a sum of random numbers, one a place."""
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
    """Read from a FLOAT graph, captured or fused, which channels go together.

    Args:
        gm: the graph.
        through_layer_norm: let LayerNorm normalise over the channels that are left. Without it, channels that a
            LayerNorm sees all stay, since its statistics would be others; see
            :mod:`fxpasses.pruning.channels.layer_norms`.

    Raises:
        GraphError: the graph is in another stage.
    """
    check_stage(gm, Stage.FLOAT, "find_dependencies")
    return Dependencies(gm, Labelling(gm, RULES, through_layer_norm).run())
