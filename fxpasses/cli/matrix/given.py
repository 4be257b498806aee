"""The options of ``bench --matrix``, checked before anything is loaded."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from fxpasses.errors import InputError

RUNTIMES = ("torch", "onnxruntime")
PRECISIONS = ("fp32", "fp16", "bf16", "int8")
DEVICES = ("cpu", "cuda")


@dataclass(frozen=True)
class MatrixChoice:
    """The options of ``bench --matrix``.

    Attributes:
        folder: the folder that ``quantize`` or ``prune`` wrote.
        pruned: a second folder, of the pruned model.
        baseline: name of a variant; None for float32 in onnxruntime.
        imported: files with benchmarks of other devices.
        before: an earlier matrix.json, with whose verdicts the new ones are compared.
        out: folder for matrix.json and the other files; None for ``folder``.
    """

    folder: Path
    pruned: Path | None = None
    runtimes: tuple[str, ...] = RUNTIMES
    precisions: tuple[str, ...] = PRECISIONS
    devices: tuple[str, ...] = DEVICES[:1]
    baseline: str | None = None
    imported: tuple[Path, ...] = ()
    before: Path | None = None
    out: Path | None = None

    @property
    def command(self) -> str:
        return shlex.join(["fxpasses", *sys.argv[1:]])


def names_of(text: str, option: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """Split a list like ``"fp32,int8"`` into names, each once.

    Raises:
        InputError: one of them is unknown.
    """
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    for name in names:
        if name not in known:
            raise InputError(f"{option} {name}", why="there is no such", fix=f"choose of {', '.join(known)}")
    return names
