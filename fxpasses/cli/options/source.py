"""Groups of options that several commands have: a model with its data, and how it is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from . import shared

if TYPE_CHECKING:
    from ..folders.folder import DataChoice, ModelChoice


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """A model."""

    model: shared.Model
    weights: shared.Weights = None
    weights_key: shared.WeightsKey = None
    image_size: shared.ImageSize = None
    seed: shared.Seed = 0

    @property
    def chosen_model(self) -> ModelChoice:
        """What is said of the model."""
        from ..folders.folder import ModelChoice

        return ModelChoice(self.model, self.weights, self.seed, self.image_size, self.weights_key)


@dataclass(frozen=True, kw_only=True)
class SourceOptions(ModelOptions):
    """A model and its data."""

    data: shared.Data
    labels: shared.Labels = None
    metric: shared.Metric = None

    @property
    def chosen_data(self) -> DataChoice:
        """What is said of the data, and by which metric models are judged on it."""
        from ..folders.folder import DataChoice

        return DataChoice(self.data, self.labels, self.metric)


@dataclass(frozen=True, kw_only=True)
class MeasureOptions:
    """How artifacts are measured."""

    evaluate: Annotated[
        int,
        typer.Option("--eval", metavar="N", max=shared.MOST_IMAGES, help="Images to measure accuracy on, at most."),
    ] = 1000
    bench: Annotated[bool, typer.Option("--bench/--no-bench", help="Measure latency, shortly.")] = True
    threads: shared.Threads = None
