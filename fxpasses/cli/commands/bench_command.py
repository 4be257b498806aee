"""``fxpasses bench DIR``: latency of every artifact of a folder, measured in turns."""

from __future__ import annotations

from typing import Annotated

import typer

from ..options import shared as options
from ..terminal import open_terminal

MOST_BATCH = 65_536
MOST_RUNS = 10_000_000


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
    device: options.Device = "cpu",
    json: options.Json = None,
) -> None:
    """Measure latency: mean, spread, percentiles and throughput by runtime, precision, batch and threads.

    The artifacts take turns, so that a machine that slows down slows all of them. The report is updated.
    """
    batches, counts = (
        options.whole_numbers(batch, "--batch", MOST_BATCH),
        options.whole_numbers(threads, "--threads", options.MOST_THREADS),
    )
    with open_terminal(json) as terminal:
        terminal.load("torch", "onnx", "onnxruntime")
        from fxpasses.graph.devices import usable_device
        from fxpasses.measure.benchmark import BenchSettings
        from fxpasses.reports.console import print_benchmark
        from fxpasses.reports.document import with_variants

        from ..folders.folder import input_maker, open_folder, require_static, update_report
        from ..folders.measuring import latency_variants, time_runners
        from ..folders.rebuild import subjects_of

        usable_device(device)  # told before artifacts are loaded
        settings = BenchSettings(batches, counts, runs, max_seconds=max_seconds)
        report = open_folder(folder)
        require_static(report, folder, "bench")
        make_input = input_maker(report, folder)
        subjects = subjects_of(report, folder, terminal, device)
        found = time_runners(subjects.runners, make_input, settings, terminal)
        report = with_variants(report, latency_variants(subjects, found)) | {
            "kernels": subjects.kernels,
            "device": device,
        }
        update_report(report, folder)
        terminal.document = report
        print_benchmark(report, terminal.results)
