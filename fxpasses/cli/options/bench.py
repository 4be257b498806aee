"""The options of ``fxpasses bench``: the timing, and with ``--matrix`` the variants to compare."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fxpasses.errors import InputError

from . import shared
from .table import options_of

if TYPE_CHECKING:
    from fxpasses.measure.benchmark import BenchSettings

MOST_BATCH = 65_536
MOST_RUNS = 10_000_000
_OF_MATRIX = "With --matrix: "
RUNTIMES = ("torch", "onnxruntime")
PRECISIONS = ("fp32", "fp16", "bf16", "int8")
DEVICES = ("cpu", "cuda")


@dataclass(frozen=True)
class MatrixChoice:
    """The options of the command.

    Attributes:
        folder: what ``quantize`` or ``prune`` left.
        pruned: a second folder, of the pruned model.
        baseline: name of a variant; None for float32 in onnxruntime.
        imported: benchmarks of other devices.
        before: a matrix.json whose verdicts are compared with.
        out: where matrix.json and the others go; None for ``folder``.
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
    """``"fp32,int8"`` as names, each once.

    Raises:
        InputError: one of them is unknown.
    """
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    for name in names:
        if name not in known:
            raise InputError(f"{option} {name}", why="there is no such", fix=f"choose of {', '.join(known)}")
    return names


@dataclass(frozen=True, kw_only=True)
class TimingOptions:
    """Options for the timing of artifacts."""

    batch: Annotated[str, typer.Option("--batch", metavar="N,N", help="Batch sizes.")] = "1"
    threads: Annotated[str, typer.Option("--threads", metavar="N,N", help="Thread counts.")] = "1"
    runs: Annotated[
        int, typer.Option("--runs", metavar="N", max=MOST_RUNS, help="Timed calls of each artifact, at each setting.")
    ] = 100
    max_seconds: Annotated[
        float,
        typer.Option(
            "--max-seconds",
            metavar="S",
            callback=shared.finite,
            help="Stop a setting after that long, whatever --runs says.",
        ),
    ] = 60.0

    device: Annotated[
        str,
        typer.Option(
            "--device",
            metavar="NAME,NAME",
            help=f"What PyTorch computes on: {' or '.join(DEVICES)}; with --matrix both, too. onnxruntime: the CPU.",
        ),
    ] = DEVICES[0]

    def settings(self) -> BenchSettings:
        """The options as settings; typer reports errors in lists."""
        from fxpasses.measure.benchmark import BenchSettings

        batches = shared.whole_numbers(self.batch, "--batch", MOST_BATCH)
        threads = shared.whole_numbers(self.threads, "--threads", shared.MOST_THREADS)
        return BenchSettings(batches, threads, self.runs, max_seconds=self.max_seconds)


@dataclass(frozen=True, kw_only=True)
class MatrixOptions:
    """Options of ``bench --matrix``: the variants that it compares, and their baseline."""

    pruned: Annotated[
        Path | None, typer.Option("--pruned", metavar="DIR", help=f"{_OF_MATRIX}what fxpasses prune wrote.")
    ] = None
    runtime: Annotated[
        str, typer.Option("--runtime", metavar="NAME,NAME", help=f"{_OF_MATRIX}which of {', '.join(RUNTIMES)}.")
    ] = ",".join(RUNTIMES)
    precision: Annotated[
        str, typer.Option("--precision", metavar="NAME,NAME", help=f"{_OF_MATRIX}which of {', '.join(PRECISIONS)}.")
    ] = ",".join(PRECISIONS)
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", metavar="NAME", help=f'{_OF_MATRIX}what to compare with: "dense torch fp32".'),
    ] = None
    imported: Annotated[
        list[Path] | None,
        typer.Option(
            "--import", metavar="FILE", help=f"{_OF_MATRIX}JSON of a bundle's run.py --bench. May be repeated."
        ),
    ] = None
    before: Annotated[
        Path | None,
        typer.Option(
            "--compare-with", metavar="FILE", help=f"{_OF_MATRIX}an earlier matrix.json; exit 1 if a verdict reversed."
        ),
    ] = None
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help=f"{_OF_MATRIX}gets the files; default: the folder itself."),
    ] = None

    def choice(self, folder: Path, devices: str) -> MatrixChoice:
        """The options as a :class:`MatrixChoice`.

        Raises:
            InputError: a name is unknown.
        """
        return MatrixChoice(
            folder,
            self.pruned,
            names_of(self.runtime, "--runtime", RUNTIMES),
            names_of(self.precision, "--precision", PRECISIONS),
            names_of(devices, "--device", DEVICES),
            self.baseline,
            tuple(self.imported or ()),
            self.before,
            self.out,
        )

    def refuse_alone(self) -> None:
        """Raise InputError for the first of these options that is given without ``--matrix``."""
        for option in options_of(MatrixOptions):
            if getattr(self, option.name) != option.default:
                what = f"{option.spelling} without --matrix"
                raise InputError(what, why="it is about the matrix", fix="add --matrix")
