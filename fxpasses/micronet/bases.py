"""Reference networks of a score: those of the challenge's three tasks, and one of a later course."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError


@dataclass(frozen=True)
class Base:
    """Reference network of one task.

    Attributes:
        name: value of ``--base``.
        network: name of the network that the numbers are of.
        storage: its parameters of 32 bits.
        operations: its operations of 32 bits, for one example: multiplies and adds; for ``effdl`` multiply-accumulates.
        bar: accuracy that an entry had to reach.
    """

    name: str
    network: str
    storage: float
    operations: float
    bar: str

    def score(self, params: float, operations: float) -> float:
        """Score of a network with these parameters and operations of 32 bits."""
        return params / self.storage + operations / self.operations


BASES = {
    base.name: base
    for base in (
        Base("cifar100", "WRN-28-10", 36.5e6, 10.49e9, "80 % of CIFAR-100's 10 000 test images"),
        Base("imagenet", "MobileNetV2-1.4", 6.9e6, 1170e6, "75 % of ImageNet's 50 000 validation images"),
        Base("wikitext", "the challenge's language model", 159e6, 318e6, "a perplexity of 35 on WikiText-103"),
        Base("effdl", "ResNet-18 in half precision", 5.6e6, 2.8e8, "90 % of CIFAR-10's 10 000 test images"),
    )
}
COURSE = "effdl"
"""Name of the course's base. Other rules hold for it: no masks, no adds of biases, one product per
multiply-accumulate.
"""


def find_base(name: str) -> Base:
    """Return the base with a name.

    Raises:
        InputError: there is none.
    """
    if name not in BASES:
        raise InputError(f"base {name!r}", why="there is no such base", fix=f"use one of {', '.join(BASES)}")
    return BASES[name]
