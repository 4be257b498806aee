"""``fxpasses view FILE``: the graph of an artifact in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import interruption
from ..terminal import open_terminal


def view_command(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|DIR",
            help=".onnx, .pt2, .pt, .pth, .safetensors, or a folder of `quantize`.",
            show_default=False,
        ),
    ],
    port: Annotated[
        int | None,
        typer.Option("--port", metavar="N", help="Default: a free one.", show_default=False),
    ] = None,
    browse: Annotated[bool, typer.Option("--browse/--no-browse", help="Open the browser.")] = True,
) -> None:
    """Open Netron on a file. It is served to this machine only, until Ctrl-C."""
    with open_terminal() as terminal:
        from fxpasses.reports.view import view

        from ..folders.artifacts import INT8_ONNX, artifact

        viewer = view(artifact(path, INT8_ONNX) if path.is_dir() else path, port, browse=browse, wait=False)
        terminal.results.print(f"{viewer.url} - Ctrl-C ends it", markup=False, soft_wrap=True)
        _wait_for_ctrl_c()
        viewer.stop()


def _wait_for_ctrl_c() -> None:
    """That is how one leaves: no error."""
    import threading

    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        interruption.forget()
