"""Variants that a matrix compares: each is a runner, whose model is dense or pruned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fxpasses.errors import InputError

from ..runners import Runner

DENSE, PRUNED = "dense", "pruned"
STRUCTURES = (DENSE, PRUNED)
PRECISIONS = ("fp32", "fp16", "bf16", "int8")
CPU, CUDA = "cpu", "cuda"
DEFAULT_BASELINE = "dense onnxruntime fp32"


@dataclass(frozen=True)
class MatrixVariant:
    """One row of the matrix, at every setting.

    Attributes:
        runner: its runner, whose name is unique in the matrix: :func:`variant_name`.
        structure: dense or pruned.
        device: device of this machine, ``"cpu"`` or ``"cuda"``.
        size_bytes: size of its file, or of its weights if it has no file.
    """

    runner: Runner
    structure: str = DENSE
    device: str = CPU
    size_bytes: int | None = None

    @property
    def name(self) -> str:
        return self.runner.name


def variant_name(structure: str, runtime: str, precision: str, device: str = CPU) -> str:
    """Name of a variant: ``pruned torch int8``, ``dense torch fp16 on cuda``."""
    return f"{structure} {runtime} {precision}" + ("" if device == CPU else f" on {device}")


def baseline_of(variants: Sequence[MatrixVariant], name: str | None) -> MatrixVariant:
    """The variant that all others are compared with: by name, by default fp32 in onnxruntime, else the first.

    Raises:
        InputError: there is none of that name.
    """
    found = {variant.name: variant for variant in variants}
    if name is None:
        return found.get(DEFAULT_BASELINE, variants[0])
    if name not in found:
        raise InputError(
            f"baseline {name!r}",
            why="nothing of that name is measured",
            fix=f"name one of: {', '.join(found)}",
        )
    return found[name]
