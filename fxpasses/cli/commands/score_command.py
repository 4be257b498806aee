"""``fxpasses score``: storage and operations by the rules of the MicroNet challenge."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import shared as options
from ..terminal import open_terminal

if TYPE_CHECKING:
    from torch import fx


class Accumulator(str, Enum):
    """How wide sums are."""

    whole = "32"
    exact = "exact"
    half = "16"


class BaseName(str, Enum):
    """What a score is relative to."""

    cifar100 = "cifar100"
    imagenet = "imagenet"
    wikitext = "wikitext"
    effdl = "effdl"


def score_command(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|FILE|DIR",
            help="A model's name, a .pt2 or .fxbits file, or a folder of `quantize`.",
            show_default=False,
        ),
    ],
    weights: options.Weights = None,
    weights_key: options.WeightsKey = None,
    image_size: options.ImageSize = None,
    base: Annotated[BaseName, typer.Option("--base", help="What it is relative to.")] = BaseName.cifar100,
    accumulator: Annotated[
        Accumulator, typer.Option("--accumulator", help="How wide sums are; all three are shown.")
    ] = Accumulator.whole,
    freebie: Annotated[
        bool, typer.Option("--freebie", help="Count floats as 16 bits; only of what quantizes nothing.")
    ] = False,
    block: Annotated[
        str | None,
        typer.Option("--block", metavar="N,M", help="One bit of a mask for N outputs x M inputs.", show_default=False),
    ] = None,
    layers: Annotated[bool, typer.Option("--layers/--no-layers", help="A line for each layer.")] = True,
    json: options.Json = None,
) -> None:
    """Count what a model stores and computes, by the rules of the MicroNet challenge, and score it.

    Zeros of weights are masks; binary, ternary and integer weights count by their own widths.
    """
    blocks = None if block is None else options.whole_numbers(block, "--block", options.LARGEST_IMAGE)
    if blocks is not None and len(blocks) != 2:
        raise typer.BadParameter("two numbers, as 4,4", param_hint="--block")
    with open_terminal(json) as terminal:
        terminal.load("torch")
        from fxpasses.micronet.api import score
        from fxpasses.micronet.text import score_text

        with terminal.step("count"):
            graph = graph_to_score(subject, weights, weights_key, image_size)
            pair = None if blocks is None else (blocks[0], blocks[1])
            found = score(graph, base.value, accumulator=accumulator.value, freebie=freebie, block=pair)
        terminal.document = {"subject": subject} | found.to_json()
        terminal.results.print(score_text(found, layers=layers), markup=False, soft_wrap=True)


def graph_to_score(
    subject: str, weights: Path | None, weights_key: str | None, image_size: int | None
) -> fx.GraphModule:
    """The graph of a file or folder as it was saved, or of a model as it is captured.

    Raises:
        InputError: it cannot be opened, or a file is given what only models take.
    """
    from fxpasses.capturing.attempts import capture
    from fxpasses.errors import InputError
    from fxpasses.export.packed_file import ENDING, load_packed
    from fxpasses.export.pt2.save_and_load import load
    from fxpasses.models.zoo import load_model

    from ..folders.artifacts import INT8_PT2, artifact

    path = Path(subject)
    is_file = path.suffix in (".pt2", ENDING)
    if not is_file and not path.is_dir():
        loaded = load_model(subject, weights, image_size=image_size, weights_key=weights_key)
        return capture(loaded.module, loaded.example_inputs())
    for option, value in (("--weights", weights), ("--weights-key", weights_key), ("--image-size", image_size)):
        if value is not None:
            raise InputError(f"{option} with {subject}", why="the file has its own", fix=f"leave {option} out")
    if path.suffix == ENDING:
        return load_packed(path)
    return load(path if is_file else artifact(path, INT8_PT2))
