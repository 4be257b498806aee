"""What each deployment target wants of its integers. A target is part of the model: it is written into every file."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from ..errors import InputError
from .qparams import INT7_SYMMETRIC, INT8_SYMMETRIC, UINT8, IntType


@dataclass(frozen=True)
class Target:
    """A deployment target.

    Attributes:
        name: as the command line spells it.
        activations: the grid of activations.
        symmetric_activations: whether their zero_point is fixed at 0.
        weights: the symmetric grid of weights.
        about: one line on the choice.
    """

    name: str
    activations: IntType
    symmetric_activations: bool
    weights: IntType
    about: str


TARGETS = {
    target.name: target
    for target in (
        Target("x86", UINT8, False, INT8_SYMMETRIC, "VNNI or AMX: uint8 x int8 in one instruction, exact"),
        Target("x86-avx2", UINT8, False, INT7_SYMMETRIC, "no VNNI: 7-bit weights keep 16-bit sums from saturating"),
        Target("arm", UINT8, False, INT8_SYMMETRIC, "NEON dot product, uint8 activations"),
        Target("cuda", INT8_SYMMETRIC, True, INT8_SYMMETRIC, "tensor cores: int8 x int8, zero_point 0"),
    )
}


def find_target(name: str) -> Target:
    """The target of that name.

    Raises:
        InputError: there is none; the nearest name is suggested.
    """
    if name in TARGETS:
        return TARGETS[name]
    near = difflib.get_close_matches(name, TARGETS, n=1)
    raise InputError(
        f"target {name!r}",
        why="there is no target of that name",
        fix=f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(TARGETS)}",
    )
