"""Deployment targets and the integers that suit them. The target is part of the model and is written into every file.

A model made for one target computes the same integers on every CPU; the target decides on which CPU this is fast.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from ...cpu import cpu_flags, has_vnni, is_arm, is_x86
from ...errors import InputError
from .qparams import INT7_SYMMETRIC, INT8_SYMMETRIC, UINT8, IntType

AUTO = "auto"
"""Name for the target of the machine on which the model is made."""


@dataclass(frozen=True)
class Target:
    """A deployment target.

    Attributes:
        name: the name on the command line.
        activations: integer type of activations.
        symmetric_activations: whether their zero_point is fixed at 0.
        weights: symmetric integer type of weights.
        pair_safe: whether weights are chosen so that kernels which add two products in 16 bits do not saturate; see
            :mod:`fxpasses.quantization.numbers.pair_sums`.
        about: one line about the target.
    """

    name: str
    activations: IntType
    symmetric_activations: bool
    weights: IntType
    pair_safe: bool
    about: str

    @property
    def free_weights(self) -> IntType:
        """Integer type for weights chosen one by one: if pairs must be safe, any two of its values are a safe pair."""
        return INT7_SYMMETRIC if self.pair_safe else self.weights


TARGETS = {
    target.name: target
    for target in (
        Target("x86", UINT8, False, INT8_SYMMETRIC, False, "VNNI or AMX: uint8 x int8, summed in 32 bits"),
        Target(
            "x86-avx2", UINT8, False, INT8_SYMMETRIC, True, "AVX2: weights whose pairs of products fit into 16 bits"
        ),
        Target("arm", UINT8, False, INT8_SYMMETRIC, False, "NEON: sums in 32 bits, with the dot product fast"),
        Target("cuda", INT8_SYMMETRIC, True, INT8_SYMMETRIC, False, "tensor cores: int8 x int8, zero_point 0"),
    )
}


@dataclass(frozen=True)
class MachineTarget:
    """The target that ``"auto"`` becomes on a machine.

    Attributes:
        name: one of ``TARGETS``.
        why: one sentence with the reason.
    """

    name: str
    why: str


def machine_target() -> MachineTarget:
    """The target that is fastest on this CPU; if the CPU is unknown, the one that is fast on any x86."""
    if is_arm():
        return MachineTarget("arm", "this CPU is a 64-bit ARM")
    if not is_x86():
        return MachineTarget("x86-avx2", "this CPU is neither x86 nor ARM, and these weights suit any kernel")
    flags = cpu_flags()
    if has_vnni(flags):
        return MachineTarget("x86", "this CPU has VNNI or AMX: it sums products of 8 bits in 32 bits")
    if not flags:
        return MachineTarget("x86-avx2", "this system does not tell what the CPU can do, and these weights suit all")
    return MachineTarget("x86-avx2", "this CPU has neither VNNI nor AMX: its fast kernels add two products in 16 bits")


def resolved_target(name: str) -> str:
    """The name of a target, with ``"auto"`` replaced by the machine's own."""
    return machine_target().name if name == AUTO else name


def find_target(name: str) -> Target:
    """The target with this name; ``"auto"`` gives the machine's own.

    Raises:
        InputError: the name is unknown; the nearest name is suggested.
    """
    known = resolved_target(name)
    if known in TARGETS:
        return TARGETS[known]
    names = (AUTO, *TARGETS)
    near = difflib.get_close_matches(name, names, n=1)
    raise InputError(
        f"target {name!r}",
        why="there is no target of that name",
        fix=f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(names)}",
    )
