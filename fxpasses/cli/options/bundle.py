"""The options of ``fxpasses bundle``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from fxpasses.errors import InputError

from . import shared
from .table import options_of


class Layout(str, Enum):
    """The layout of a bundle: a zip, or a folder for another tool."""

    zip = "zip"
    triton = "triton"
    mlflow = "mlflow"
    optimum = "optimum"


@dataclass(frozen=True, kw_only=True)
class BundleOptions:
    """Options of ``fxpasses bundle``."""

    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FILE",
            parser=shared.named_path,
            help="The zip; with another --layout, a folder.",
            show_default=False,
        ),
    ]
    target: Annotated[
        str,
        typer.Option(
            "--target", metavar="TARGET", help="auto (what the model was quantized for), x86, x86-avx2, arm or cuda."
        ),
    ] = "auto"
    labels: Annotated[
        Path | None,
        typer.Option("--labels", metavar="FILE", help="Names of the classes; default: those of the data."),
    ] = None
    license_name: Annotated[
        str | None, typer.Option("--license", metavar="TEXT", help="The licence of the model, for its card.")
    ] = None
    resize: Annotated[
        bool, typer.Option("--resize", help="The image graph takes images of any size, and scales and crops them.")
    ] = False
    layout: Annotated[
        Layout,
        typer.Option(
            "--layout",
            metavar="NAME",
            help="zip, with run.py; or a folder that NVIDIA Triton, MLflow or Hugging Face Optimum loads as it is: "
            "triton, mlflow, optimum.",
        ),
    ] = Layout.zip

    def refuse_what_zips_have(self) -> None:
        """Raise InputError for the first option that only a zip has, beside another layout."""
        for option in options_of(BundleOptions):
            if option.name not in ("out", "layout") and getattr(self, option.name) != option.default:
                what = f"{option.spelling} with --layout {self.layout.value}"
                raise InputError(what, why="only the zip has it", fix="leave it out, or use --layout zip")
