"""Distance of each part of each output from float, for the report; parts with a problem become warnings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor, fx

from fxpasses.measure.output_comparison import compare_outputs, warnings_of
from fxpasses.models.data.data_source import DataSource

from ..terminal import Terminal

IMAGES = 32
"""Number of images: enough to see a difference of 10 dB. More would be slow, as the outputs of a detector are large."""
BATCH = 4


def checked_outputs(
    graph: fx.GraphModule, int8: Callable[..., object], data: DataSource, images: int, terminal: Terminal
) -> dict[str, Any]:
    """``outputs`` and ``warnings`` of report.json: every part of every output on at most ``images`` images."""
    count = min(IMAGES, images, data.evaluation_images)
    with terminal.step("compare outputs"):
        return outputs_of(graph, int8, (inputs for inputs, _ in data.evaluation(BATCH, count)))


def outputs_of(
    graph: fx.GraphModule, int8: Callable[..., object], batches: Iterable[Tensor | tuple[Tensor, ...]]
) -> dict[str, Any]:
    """``outputs`` and ``warnings`` of report.json, measured on the given batches."""
    tuples = (inputs if isinstance(inputs, tuple) else (inputs,) for inputs in batches)
    scores = compare_outputs(graph, int8, tuples)
    return {"outputs": [score.to_json() for score in scores], "warnings": warnings_of(scores)}
