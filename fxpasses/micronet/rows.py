"""A row of the score: storage and operations of one node."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from .storage import Block, Stored
from .work import Work


@dataclass(frozen=True)
class Widths:
    """Widths that a score assumes.

    Attributes:
        weight_bits: bits of every parameter of a FLOAT graph; None: as they are.
        activation_bits: bits of every value that a FLOAT graph computes; None: as they are.
        block: block of masks; None: one bit for each element.
    """

    weight_bits: int | None = None
    activation_bits: int | None = None
    block: Block | None = None


@dataclass(frozen=True)
class Row:
    """Storage and operations of a node.

    Attributes:
        name: name of the node.
        operator: its name in the vocabulary, else the name of the function or module it calls.
        stored: tensors that it reads and no node before it.
        work: operations for one example.
    """

    name: str
    operator: str
    stored: tuple[Stored, ...]
    work: tuple[Work, ...]

    @property
    def is_empty(self) -> bool:
        return not self.stored and not any(w.multiplies or w.adds for w in self.work)

    def params(self, *, freebie: bool) -> Fraction:
        """Storage, in parameters of 32 bits."""
        return sum((s.params(freebie=freebie) for s in self.stored), Fraction(0))

    def multiplies(self, *, freebie: bool) -> Fraction:
        """Multiplies, in operations of 32 bits."""
        return sum((w.multiply_ops(freebie=freebie) for w in self.work), Fraction(0))

    def adds(self, accumulator: str) -> Fraction:
        """Adds, in operations of 32 bits."""
        return sum((w.add_ops(accumulator) for w in self.work), Fraction(0))

    @property
    def weight_bits(self) -> int | None:
        """Bits of the values of its largest tensor."""
        return max(self.stored, key=lambda s: s.elements).bits if self.stored else None

    @property
    def multiply_bits(self) -> int | None:
        """Bits of most of its multiplies."""
        found = [w for w in self.work if w.multiplies]
        return max(found, key=lambda w: w.multiplies).multiply_bits if found else None

    @property
    def exact_bits(self) -> int | None:
        """Bits of the accumulator that holds most of its sums exactly."""
        found = [w for w in self.work if w.adds]
        return max(found, key=lambda w: w.adds).exact_bits if found else None

    @property
    def macs(self) -> int:
        return sum(w.macs for w in self.work)
