"""``fxpasses bench DIR``: latency of every artifact of a folder, measured in turns; ``--matrix`` compares far more."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import shared
from ..options.bench import MatrixOptions, TimingOptions
from ..options.table import takes_groups
from ..terminal import Terminal, open_terminal

if TYPE_CHECKING:
    from fxpasses.measure.benchmark import BenchSettings


@takes_groups
def bench_command(
    folder: shared.Folder,
    timing: TimingOptions,
    compared: MatrixOptions,
    matrix: Annotated[
        bool, typer.Option("--matrix", help="Compare runtimes, precisions, dense and pruned, with verdicts.")
    ] = False,
    json: shared.Json = None,
) -> None:
    """Measure latency: mean, spread, percentiles and throughput by runtime, precision, batch and threads.

    The artifacts take turns, so that a machine that slows down slows all of them. The report is updated. With
    --matrix the folder gets matrix.json, .md, .csv and .html instead, with an interval and a verdict for each row.
    """
    if not matrix:
        compared.refuse_alone()
    choice = compared.choice(folder, timing.device)
    with open_terminal(json) as terminal:
        terminal.load("torch", "onnx", "onnxruntime")
        settings = timing.settings()
        if not matrix:
            _bench(folder, settings, timing.device, terminal)
            return
        from ..matrix.run import run_matrix

        run_matrix(choice, settings, terminal)


def _bench(folder: Path, settings: BenchSettings, device: str, terminal: Terminal) -> None:
    from fxpasses.graph.devices import usable_device
    from fxpasses.machine.kernel_level import kernel_levels
    from fxpasses.reports.console import print_benchmark
    from fxpasses.reports.document import with_variants

    from ..folders.bench_input import input_maker
    from ..folders.folder import model_details, open_folder, require_static, update_report
    from ..folders.measuring import latency_variants, time_runners
    from ..folders.rebuild import folder_artifacts

    usable_device(device)  # told before artifacts are loaded
    report = open_folder(folder)
    require_static(report, folder, "bench")
    details = model_details(report, folder)
    artifacts, int8 = folder_artifacts(report, folder, terminal, device)
    make_input = input_maker(details, int8)
    found = time_runners([artifact.runner for artifact in artifacts], make_input, settings, terminal)
    report = with_variants(report, latency_variants(artifacts, found)) | {
        "kernels": kernel_levels(int8),
        "device": device,
    }
    update_report(report, folder)
    terminal.document = report
    print_benchmark(report, terminal.results)
