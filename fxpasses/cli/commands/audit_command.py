"""``fxpasses audit``: what onnxruntime really computes in int8."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..options import shared as options
from ..terminal import open_terminal


def audit_command(
    path: Annotated[
        Path, typer.Argument(metavar="FILE|DIR", help="An .onnx file, or a folder of `quantize`.", show_default=False)
    ],
    json: options.Json = None,
) -> None:
    """Say what onnxruntime fuses into int8 in a file, what it leaves in float, and why.

    Exits with 0 if nothing that multiplies is in float and no Q/DQ pair stands between int8 operators, else with 1.
    """
    with open_terminal(json) as terminal:
        from fxpasses.audit.audit_file import audit
        from fxpasses.audit.text import audit_text

        from ..folders.artifacts import INT8_ONNX, artifact

        file = artifact(path, INT8_ONNX) if path.is_dir() else path
        with terminal.step("audit"):
            report = audit(file)
        terminal.document = report.to_json()
        terminal.results.print(audit_text(report))
        terminal.ok = report.ok
