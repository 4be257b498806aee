"""``fxpasses score``: storage and operations by the rules of the MicroNet challenge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..options import shared
from ..options.score import ScoreOptions
from ..options.table import takes_groups
from ..terminal import open_terminal

if TYPE_CHECKING:
    from torch import fx


@takes_groups
def score_command(options: ScoreOptions, json: shared.Json = None) -> None:
    """Count what a model stores and computes, by the rules of the MicroNet challenge, and score it.

    Zeros of weights are masks; binary, ternary and integer weights count by their own widths.
    """
    block = options.block_sizes
    with open_terminal(json) as terminal:
        terminal.load("torch")
        from fxpasses.micronet.api import score
        from fxpasses.micronet.text import score_text

        with terminal.step("count"):
            graph = graph_to_score(options.subject, options.weights, options.weights_key, options.image_size)
            found = score(
                graph, options.base.value, accumulator=options.accumulator.value, freebie=options.freebie, block=block
            )
        terminal.document = {"subject": options.subject} | found.to_json()
        terminal.results.print(score_text(found, layers=options.layers), markup=False, soft_wrap=True)


def graph_to_score(
    subject: str, weights: Path | None, weights_key: str | None, image_size: int | None
) -> fx.GraphModule:
    """Open a file or folder and return its graph as it was saved, or capture a model and return its graph.

    Raises:
        InputError: it cannot be opened, or an option that only models have is given for a file.
    """
    from fxpasses.errors import InputError
    from fxpasses.export.packed_file import ENDING, load_packed
    from fxpasses.export.pt2.save_and_load import load

    from ..folders.artifacts import INT8_PT2, artifact
    from ..folders.captured_model import captured_model
    from ..folders.folder import ModelChoice

    path = Path(subject)
    is_file = path.suffix in (".pt2", ENDING)
    if not is_file and not path.is_dir():
        return captured_model(ModelChoice(subject, weights, image_size=image_size, weights_key=weights_key).load())
    for option, value in (("--weights", weights), ("--weights-key", weights_key), ("--image-size", image_size)):
        if value is not None:
            raise InputError(f"{option} with {subject}", why="the file has its own", fix=f"leave {option} out")
    if path.suffix == ENDING:
        return load_packed(path)
    return load(path if is_file else artifact(path, INT8_PT2))
