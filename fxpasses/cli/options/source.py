"""Groups of options: a model with its data, the settings of a measurement, and the data of a comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from . import shared

if TYPE_CHECKING:
    from ..folders.folder import DataChoice, ModelChoice


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Options that name a model."""

    model: shared.Model
    weights: shared.Weights = None
    weights_key: shared.WeightsKey = None
    image_size: shared.ImageSize = None
    seed: shared.Seed = 0

    @property
    def chosen_model(self) -> ModelChoice:
        """The model that the options name."""
        from ..folders.folder import ModelChoice

        return ModelChoice(self.model, self.weights, self.seed, self.image_size, self.weights_key)


@dataclass(frozen=True, kw_only=True)
class SourceOptions(ModelOptions):
    """Options that name a model and its data."""

    data: shared.Data
    labels: shared.Labels = None
    metric: shared.Metric = None

    @property
    def chosen_data(self) -> DataChoice:
        """The data that the options name, and the metric to measure on it."""
        from ..folders.folder import DataChoice

        return DataChoice(self.data, self.labels, self.metric)


@dataclass(frozen=True, kw_only=True)
class MeasureOptions:
    """Options of the measurement of artifacts."""

    evaluate: Annotated[
        int,
        typer.Option("--eval", metavar="N", max=shared.MOST_IMAGES, help="Images to measure accuracy on, at most."),
    ] = 1000
    bench: Annotated[bool, typer.Option("--bench/--no-bench", help="Measure latency, shortly.")] = True
    threads: shared.Threads = None


@dataclass(frozen=True, kw_only=True)
class ParityOptions:
    """Options of ``fxpasses parity``: the data to compare on."""

    data: shared.OtherData = None
    labels: shared.Labels = None
    images: Annotated[
        int,
        typer.Option(
            "--images", metavar="N", max=shared.MOST_IMAGES, help="Images to compare logits and classes on, at most."
        ),
    ] = 500
    node_images: Annotated[
        int,
        typer.Option(
            "--node-images", metavar="N", max=shared.MOST_IMAGES, help="Images to compare every integer tensor on."
        ),
    ] = 8
    threads: shared.Threads = None

    @property
    def other_data(self) -> DataChoice | None:
        """The data that the options name; None for that of the report."""
        from ..folders.folder import DataChoice

        return None if self.data is None else DataChoice(self.data, self.labels)
