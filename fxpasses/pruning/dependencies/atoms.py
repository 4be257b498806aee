"""Channel atoms: the smallest parts that can be removed from a network, and the classes that must be removed together.

Every channel that a layer makes is an atom, which is a number. Atoms that an operator ties together (the two sides of a
residual add) are united; the resulting sets are the classes, and each class is removed as a whole or not at all. An
atom that an unknown operator reads is frozen, with the first reason, and so is its class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import fx

Atoms = npt.NDArray[np.int64]
"""Atoms along one dimension of a tensor, ``[size]``."""


@dataclass(frozen=True)
class Reason:
    """Reason why channels are not removed: the node that needs all of them, and its purpose."""

    node: str
    why: str

    def __str__(self) -> str:
        return f"{self.node} {self.why}"


class AtomClasses:
    """Union-find over atoms (Tarjan 1975), with vectorised inner loops."""

    def __init__(self) -> None:
        self._parent: Atoms = np.empty(0, np.int64)
        self._reasons: dict[int, Reason] = {}

    @property
    def count(self) -> int:
        """Number of atoms."""
        return len(self._parent)

    def fresh(self, count: int) -> Atoms:
        """Make new atoms, each in a class of its own."""
        start = len(self._parent)
        made = np.arange(start, start + count)
        self._parent = np.concatenate((self._parent, made))
        return made

    def roots(self, atoms: Atoms) -> Atoms:
        """Return the representative of the class of each atom."""
        found = self._parent[atoms]
        while True:
            above = self._parent[found]
            if np.array_equal(above, found):
                break
            found = above
        self._parent[atoms] = found
        return found

    def unite(self, first: Atoms, second: Atoms) -> None:
        """Unite the classes of atoms pairwise; both arrays have the same shape."""
        a, b = self.roots(first), self.roots(second)
        differ = a != b
        if not differ.any():
            return
        for x, y in np.unique(np.stack((a[differ], b[differ])), axis=1).T.tolist():
            self._unite(x, y)

    def _unite(self, x: int, y: int) -> None:
        low, high = sorted((self._root(x), self._root(y)))
        if low == high:
            return
        self._parent[high] = low
        reason = self._reasons.pop(high, None)
        if reason is not None:
            self._reasons.setdefault(low, reason)

    def _root(self, atom: int) -> int:
        while self._parent[atom] != atom:
            atom = int(self._parent[atom])
        return atom

    def freeze(self, atoms: Atoms, node: fx.Node, why: str) -> None:
        """Keep these atoms, and all that are united with them, in every removal."""
        for root in np.unique(self.roots(atoms)).tolist():
            self._reasons.setdefault(root, Reason(node.name, why))

    def reason(self, atom: int) -> Reason | None:
        """Reason why an atom is frozen; None if it is free."""
        return self._reasons.get(self._root(atom))

    def frozen_roots(self) -> Atoms:
        return np.array(sorted(self._reasons), dtype=np.int64)
