"""``fxpasses parity DIR``: do both int8 artifacts of a folder give the same integers?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ..options import shared
from ..options.source import ParityOptions
from ..options.table import takes_groups
from ..terminal import Terminal, open_terminal

if TYPE_CHECKING:
    from torch import fx

    from fxpasses.agreement.parity_check import ParityReport
    from fxpasses.models.data.data_source import DataSource


@takes_groups
def parity_command(folder: shared.Folder, options: ParityOptions, json: shared.Json = None) -> None:
    """Compare both int8 artifacts integer by integer, and with exact arithmetic; update the report.

    Exits with 0 if they keep the promise, with 1 if not: the same class on every image, no node further than 1 LSB
    from exact arithmetic on equal inputs; with a recipe made by --exact, no difference at all.
    """
    if options.labels is not None and options.data is None:
        raise typer.BadParameter("it goes with --data images=DIR", param_hint="--labels")
    with open_terminal(json) as terminal:
        terminal.load("torch", "onnx", "onnxruntime")
        from fxpasses.agreement.promise import is_exact, why_broken
        from fxpasses.export.pt2.save_and_load import load
        from fxpasses.machine.kernel_level import kernel_levels
        from fxpasses.measure.runners import onnx_runner, torch_threads
        from fxpasses.reports.console import print_kernels, print_parity

        from ..folders.artifacts import INT8_ONNX, INT8_PT2, artifact
        from ..folders.folder import open_folder, require_static, update_report
        from ..folders.stored import compared_with_stored, data_or_stored, tell
        from ..given import default_threads

        report = open_folder(folder)
        require_static(report, folder, "parity")
        source = data_or_stored(folder, report, options.other_data, terminal)
        int8 = load(artifact(folder, INT8_PT2))
        onnx_runner(artifact(folder, INT8_ONNX), "int8")  # refuses a damaged file
        with torch_threads(default_threads(options.threads)):
            found = _compared(folder, int8, source, options, terminal)
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


def _compared(
    folder: Path, int8: fx.GraphModule, source: DataSource | None, options: ParityOptions, terminal: Terminal
) -> ParityReport:
    """Compare on the data; on the images that the folder stores if there is none."""
    from ..folders.artifacts import INT8_ONNX
    from ..folders.stored import parity_on_stored
    from ..static.quantize_model import parity_on

    if source is None:
        return parity_on_stored(folder, int8)
    return parity_on(int8, folder / INT8_ONNX, source, options.images, terminal, options.node_images)
