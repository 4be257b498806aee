"""``fxpasses diff A B``: the changes between two models, operator by operator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..options import shared as options
from ..terminal import open_terminal


def diff_command(
    a: Annotated[Path, typer.Argument(metavar="A", help=".onnx, .pt2, or a folder of `quantize`.", show_default=False)],
    b: Annotated[
        Path, typer.Argument(metavar="B", help="The same kinds; of a folder, the int8 ONNX file.", show_default=False)
    ],
    picture: Annotated[
        Path | None,
        typer.Option("--picture", metavar="FILE", help="Draw it into an .svg or .png file.", show_default=False),
    ] = None,
    json: options.Json = None,
) -> None:
    """Say what fusing, pruning and quantizing changed from A to B, operator by operator.

    Exits with 0 where both are one model, else with 1, as diff does.
    """
    with open_terminal(json) as terminal:
        terminal.load("fxpasses.comparing.difference")
        from fxpasses.comparing.difference import diff

        from ..folders.artifacts import INT8_ONNX, artifact

        first, second = (artifact(path, INT8_ONNX) if path.is_dir() else path for path in (a, b))
        with terminal.step("compare"):
            found = diff(first, second)
        if picture is not None:
            from fxpasses.comparing.picture import write_picture

            with terminal.step("draw"):
                write_picture(found, picture)
        terminal.document = found.to_json()
        terminal.results.print(str(found), markup=False, soft_wrap=True)
        terminal.ok = found.is_empty
