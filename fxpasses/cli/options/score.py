"""The options of ``fxpasses score``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Annotated

import typer

from . import shared


class Accumulator(str, Enum):
    """Width in bits of the accumulator of sums."""

    whole = "32"
    exact = "exact"
    half = "16"


class BaseName(str, Enum):
    """The reference that a score is relative to."""

    cifar100 = "cifar100"
    imagenet = "imagenet"
    wikitext = "wikitext"
    effdl = "effdl"


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """Options of ``fxpasses score``, as the command line spells them."""

    subject: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|FILE|DIR",
            help="A model's name, a .pt2 or .fxbits file, or a folder of `quantize`.",
            show_default=False,
        ),
    ]
    weights: shared.Weights = None
    weights_key: shared.WeightsKey = None
    image_size: shared.ImageSize = None
    base: Annotated[BaseName, typer.Option("--base", help="Reference of the score.")] = BaseName.cifar100
    accumulator: Annotated[
        Accumulator, typer.Option("--accumulator", help="Width of sums in bits; the output shows all three.")
    ] = Accumulator.whole
    freebie: Annotated[
        bool, typer.Option("--freebie", help="Count floats as 16 bits; only for models that quantize nothing.")
    ] = False
    block: Annotated[
        str | None,
        typer.Option("--block", metavar="N,M", help="One bit of a mask for N outputs x M inputs.", show_default=False),
    ] = None
    layers: Annotated[bool, typer.Option("--layers/--no-layers", help="A line for each layer.")] = True

    @property
    def block_sizes(self) -> tuple[int, int] | None:
        """``--block`` as two numbers; typer reports an error."""
        if self.block is None:
            return None
        sizes = shared.whole_numbers(self.block, "--block", shared.LARGEST_IMAGE)
        if len(sizes) != 2:
            raise typer.BadParameter("two numbers, as 4,4", param_hint="--block")
        return sizes[0], sizes[1]
