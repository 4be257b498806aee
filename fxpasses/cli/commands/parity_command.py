"""``fxpasses parity DIR``: do both int8 artifacts of a folder give the same integers?"""

from __future__ import annotations

from typing import Annotated

import typer

from ..options import shared as options
from ..terminal import open_terminal


def parity_command(
    folder: options.Folder,
    data: options.OtherData = None,
    labels: options.Labels = None,
    images: Annotated[
        int,
        typer.Option(
            "--images", metavar="N", max=options.MOST_IMAGES, help="Images to compare logits and classes on, at most."
        ),
    ] = 500,
    node_images: Annotated[
        int,
        typer.Option(
            "--node-images", metavar="N", max=options.MOST_IMAGES, help="Images to compare every integer tensor on."
        ),
    ] = 8,
    threads: options.Threads = None,
    json: options.Json = None,
) -> None:
    """Compare both int8 artifacts integer by integer, and with exact arithmetic; update the report.

    Exits with 0 if they keep the promise, with 1 if not: the same class on every image, no node further than 1 LSB
    from exact arithmetic on equal inputs; with a recipe made by --exact, no difference at all.
    """
    if labels is not None and data is None:
        raise typer.BadParameter("it goes with --data images=DIR", param_hint="--labels")
    with open_terminal(json) as terminal:
        terminal.load("torch", "onnx", "onnxruntime")
        from fxpasses.agreement.promise import is_exact, why_broken
        from fxpasses.export.pt2.save_and_load import load
        from fxpasses.machine.kernel_level import kernel_levels
        from fxpasses.measure.runners import onnx_runner, torch_threads
        from fxpasses.reports.console import print_kernels, print_parity

        from ..folders.artifacts import INT8_ONNX, INT8_PT2, artifact
        from ..folders.folder import DataChoice, open_folder, require_static, update_report
        from ..folders.stored import compared_with_stored, data_or_stored, parity_on_stored, tell
        from ..given import default_threads
        from ..static.quantize_model import parity_on

        report = open_folder(folder)
        require_static(report, folder, "parity")
        source = data_or_stored(folder, report, None if data is None else DataChoice(data, labels), terminal)
        int8, onnx_path = load(artifact(folder, INT8_PT2)), artifact(folder, INT8_ONNX)
        onnx_runner(onnx_path, "int8")  # refuses a damaged file
        with torch_threads(default_threads(threads)):
            if source is None:
                found = parity_on_stored(folder, int8)
            else:
                found = parity_on(int8, onnx_path, source, images, terminal, node_images)
            elsewhere = compared_with_stored(folder, int8, report)
        report["parity"], report["kernels"] = found.to_json(), kernel_levels(int8)
        update_report(report, folder)
        terminal.document = report["parity"] | {"elsewhere": elsewhere and elsewhere.to_json()}
        print_parity(report["parity"], terminal.results)
        print_kernels(report, terminal.results)
        broken = why_broken(report["parity"], exact=is_exact(report))
        broken += tell(elsewhere, terminal)
        for sentence in broken:
            terminal.results.print(sentence, style="red", markup=False)
        terminal.ok = not broken
