"""``fxpasses view FILE [FILE]``: the graph of an artifact in the browser, or two beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .. import interruption
from ..terminal import open_terminal

if TYPE_CHECKING:
    from fxpasses.reports.compare.side_by_side import SideBySide
    from fxpasses.reports.view import Viewer

    from ..terminal import Terminal


def view_command(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|DIR",
            help=".onnx, .pt2, .pt, .pth, .safetensors, or a folder of `quantize`.",
            show_default=False,
        ),
    ],
    other: Annotated[
        Path | None,
        typer.Argument(metavar="[OTHER]", help="A second one, beside the first in one page.", show_default=False),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", metavar="N", help="Default: a free one.", show_default=False),
    ] = None,
    browse: Annotated[bool, typer.Option("--browse/--no-browse", help="Open the browser.")] = True,
) -> None:
    """Open Netron on a file, or on two side by side. They are served to this machine only, until Ctrl-C."""
    with open_terminal() as terminal:
        viewer = _opened(path, other, port, browse=browse)
        _tell_and_wait(terminal, viewer.url)
        viewer.stop()


def _opened(path: Path, other: Path | None, port: int | None, *, browse: bool) -> Viewer | SideBySide:
    from fxpasses.reports.compare.side_by_side import view_both
    from fxpasses.reports.view import view

    first = _file_of(path)
    if other is None:
        return view(first, port, browse=browse, wait=False)
    return view_both(first, _file_of(other), port, browse=browse)


def _file_of(path: Path) -> Path:
    from ..folders.artifacts import INT8_ONNX, artifact

    return artifact(path, INT8_ONNX) if path.is_dir() else path


def _tell_and_wait(terminal: Terminal, url: str) -> None:
    """Print the address and wait until the user presses Ctrl-C, which ends the command without an error."""
    import threading

    try:
        terminal.results.print(f"{url} - Ctrl-C ends it", markup=False, soft_wrap=True)
        threading.Event().wait()
    except KeyboardInterrupt:
        interruption.forget()
