"""The options of ``fxpasses sensitivity``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Annotated

import typer

from . import pruning, shared


class Method(str, Enum):
    """Change made to a layer to measure how sensitive it is."""

    quant = "quant"
    prune = "prune"


@dataclass(frozen=True, kw_only=True)
class SensitivityOptions:
    """Options of ``fxpasses sensitivity``, as the command line spells them."""

    method: Annotated[
        Method,
        typer.Option(
            "--method",
            metavar="METHOD",
            help="quant: each layer in int8 alone, and in float alone. prune: each layer pruned alone.",
        ),
    ] = Method.quant
    images: Annotated[
        int | None,
        typer.Option(
            "--images",
            max=shared.MOST_IMAGES,
            metavar="N",
            help="Images to measure on, at most; default: 256, fewer if they are large.",
            show_default=False,
        ),
    ] = None
    node_images: Annotated[
        int,
        typer.Option("--node-images", metavar="N", max=shared.MOST_IMAGES, help="Images to compare every tensor on."),
    ] = 32
    target: shared.Target = "auto"
    observer: shared.Observers = None
    keep_float: shared.KeepFloat = None
    calib: shared.CalibrationImages = None
    ratios: Annotated[
        str, typer.Option("--ratios", metavar="R,R,...", help="Shares of a layer's weights to prune, for prune.")
    ] = "0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9"
    granularity: Annotated[
        str, typer.Option("--granularity", metavar="NAME", help="Unit of pruning: weight or channel.")
    ] = "weight"
    criterion: pruning.Criterion = "l1"
    layers: pruning.Layers = None
    max_drop: Annotated[
        float | None,
        shared.max_drop(
            "For --method prune: find the largest ratio of each layer, of each operator and of the net that {loses}."
        ),
    ] = None
    workers: shared.Workers = 1
    backend: shared.Backend = "loky"
    threads: shared.Threads = None
    device: shared.Device = "cpu"
