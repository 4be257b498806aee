"""The options of ``fxpasses train``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Annotated

import typer

from . import shared

BATCH = 32


class TrainOptimizer(str, Enum):
    """Optimizers of fxpasses.models.training.loop."""

    adamw = "adamw"
    sgd = "sgd"


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Options of ``fxpasses train``, as the command line spells them."""

    data: shared.Data
    labels: shared.Labels = None
    epochs: Annotated[int, typer.Option("--epochs", metavar="N", max=shared.MOST_EPOCHS)] = 10
    lr: Annotated[
        float,
        typer.Option("--lr", callback=shared.finite, help="Learning rate at the start; it falls to 0 on a cosine."),
    ] = 0.01
    optimizer: Annotated[TrainOptimizer, typer.Option("--optimizer")] = TrainOptimizer.adamw
    batch: Annotated[int, typer.Option("--batch", metavar="N", max=shared.MOST_IMAGES, help="Images in a batch.")] = (
        BATCH
    )
    augment: shared.Augment = False
    bf16: shared.TrainInBfloat16 = False
    threads: shared.Threads = None
