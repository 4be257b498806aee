"""``fxpasses bench DIR``: latency of every artifact of a folder, measured in turns; ``--matrix`` compares far more."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fxpasses.errors import InputError

from ..matrix.given import DEVICES, PRECISIONS, RUNTIMES, MatrixChoice, names_of
from ..options import shared as options
from ..terminal import Terminal, open_terminal

if TYPE_CHECKING:
    from fxpasses.measure.benchmark import BenchSettings

MOST_BATCH = 65_536
MOST_RUNS = 10_000_000
_OF_MATRIX = "With --matrix: "


def bench_command(
    folder: options.Folder,
    batch: Annotated[str, typer.Option("--batch", metavar="N,N", help="Batch sizes.")] = "1",
    threads: Annotated[str, typer.Option("--threads", metavar="N,N", help="Thread counts.")] = "1",
    runs: Annotated[
        int, typer.Option("--runs", metavar="N", max=MOST_RUNS, help="Timed calls of each artifact, at each setting.")
    ] = 100,
    max_seconds: Annotated[
        float,
        typer.Option(
            "--max-seconds",
            metavar="S",
            callback=options.finite,
            help="Stop a setting after that long, whatever --runs says.",
        ),
    ] = 60.0,
    matrix: Annotated[
        bool, typer.Option("--matrix", help="Compare runtimes, precisions, dense and pruned, with verdicts.")
    ] = False,
    pruned: Annotated[
        Path | None, typer.Option("--pruned", metavar="DIR", help=f"{_OF_MATRIX}what fxpasses prune wrote.")
    ] = None,
    runtime: Annotated[
        str, typer.Option("--runtime", metavar="NAME,NAME", help=f"{_OF_MATRIX}which of {', '.join(RUNTIMES)}.")
    ] = ",".join(RUNTIMES),
    precision: Annotated[
        str, typer.Option("--precision", metavar="NAME,NAME", help=f"{_OF_MATRIX}which of {', '.join(PRECISIONS)}.")
    ] = ",".join(PRECISIONS),
    device: Annotated[
        str, typer.Option("--device", metavar="NAME,NAME", help=f"{_OF_MATRIX}which of {', '.join(DEVICES)}.")
    ] = DEVICES[0],
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", metavar="NAME", help=f'{_OF_MATRIX}what to compare with: "dense torch fp32".'),
    ] = None,
    imported: Annotated[
        list[Path] | None,
        typer.Option(
            "--import", metavar="FILE", help=f"{_OF_MATRIX}JSON of a bundle's run.py --bench. May be repeated."
        ),
    ] = None,
    before: Annotated[
        Path | None,
        typer.Option(
            "--compare-with", metavar="FILE", help=f"{_OF_MATRIX}an earlier matrix.json; exit 1 if a verdict reversed."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help=f"{_OF_MATRIX}gets the files; default: the folder itself."),
    ] = None,
    json: options.Json = None,
) -> None:
    """Measure latency: mean, spread, percentiles and throughput by runtime, precision, batch and threads.

    The artifacts take turns, so that a machine that slows down slows all of them. The report is updated. With
    --matrix the folder gets matrix.json, .md, .csv and .html instead, with an interval and a verdict for each row.
    """
    batches, counts = (
        options.whole_numbers(batch, "--batch", MOST_BATCH),
        options.whole_numbers(threads, "--threads", options.MOST_THREADS),
    )
    if not matrix:
        given = {"--pruned": pruned, "--baseline": baseline, "--import": imported, "--compare-with": before}
        named = {
            "--runtime": (runtime, RUNTIMES),
            "--precision": (precision, PRECISIONS),
            "--device": (device, ("cpu",)),
        }
        given |= {option: None if text == ",".join(names) else text for option, (text, names) in named.items()}
        _require_matrix(given | {"--out": out})
    choice = MatrixChoice(
        folder,
        pruned,
        names_of(runtime, "--runtime", RUNTIMES),
        names_of(precision, "--precision", PRECISIONS),
        names_of(device, "--device", DEVICES),
        baseline,
        tuple(imported or ()),
        before,
        out,
    )
    with open_terminal(json) as terminal:
        terminal.load("torch", "onnx", "onnxruntime")
        from fxpasses.measure.benchmark import BenchSettings

        settings = BenchSettings(batches, counts, runs, max_seconds=max_seconds)
        if not matrix:
            _bench(folder, settings, terminal)
            return
        from ..matrix.run import run_matrix

        run_matrix(choice, settings, terminal)


def _require_matrix(given: Mapping[str, object]) -> None:
    """Raise InputError for options that say nothing without ``--matrix``."""
    for option, value in given.items():
        if value is not None:
            raise InputError(f"{option} without --matrix", why="it is about the matrix", fix="add --matrix")


def _bench(folder: Path, settings: BenchSettings, terminal: Terminal) -> None:
    from fxpasses.reports.console import print_benchmark
    from fxpasses.reports.document import with_variants

    from ..folders.bench_input import input_maker
    from ..folders.folder import model_details, open_folder, require_static, update_report
    from ..folders.measuring import latency_variants, time_runners
    from ..folders.rebuild import subjects_of

    report = open_folder(folder)
    require_static(report, folder, "bench")
    details = model_details(report, folder)
    subjects = subjects_of(report, folder, terminal)
    make_input = input_maker(details, subjects.int8)
    found = time_runners(subjects.runners, make_input, settings, terminal)
    report = with_variants(report, latency_variants(subjects, found)) | {"kernels": subjects.kernels}
    update_report(report, folder)
    terminal.document = report
    print_benchmark(report, terminal.results)
