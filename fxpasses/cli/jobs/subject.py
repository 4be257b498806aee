"""A model and its data as plain settings that can be sent to other processes; each process opens them once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from torch import fx

from fxpasses.graph.devices import usable_device
from fxpasses.models.data.data_source import DataSource
from fxpasses.models.loaded_model import LoadedModel
from fxpasses.passes.fusion import fuse
from fxpasses.sensitivity.scoring import Scorer

from ..folders.captured_model import captured_model
from ..folders.folder import DataChoice, ModelChoice
from ..given import Input, open_both
from .evaluation_data import evaluation_batches


@dataclass(frozen=True)
class Subject:
    """A model and its data to measure, the number of threads in each process, and the device to measure on."""

    model: ModelChoice
    data: DataChoice
    threads: int = 1
    device: str = "cpu"

    @property
    def about(self) -> dict[str, object]:
        """Facts on which measurements depend: a journal with other facts is not used."""
        from fxpasses import __version__

        weights = self.model.weights
        return {
            "fxpasses": __version__,
            "model": self.model.spec,
            "weights": None if weights is None else [str(weights.resolve()), _changed(weights)],
            "weights_key": self.model.weights_key,
            "seed": self.model.seed,
            "image_size": self.model.image_size,
            "data": self.data.details(),
            **({} if self.device == "cpu" else {"device": self.device}),
        }


@dataclass(frozen=True)
class Loaded:
    """A subject opened in this process; ``graph`` is FLOAT, as captured."""

    model: LoadedModel
    data: DataSource
    graph: fx.GraphModule
    given: Input
    """The model and data in the form that commands pass on."""


@lru_cache(maxsize=1)
def loaded(subject: Subject) -> Loaded:
    """Load the model and data, and capture the graph."""
    given = open_both(subject.model, subject.data)
    graph = captured_model(given.model)
    return Loaded(given.model, given.data, graph, given)


@lru_cache(maxsize=1)
def fused_graph(subject: Subject) -> fx.GraphModule:
    """The FLOAT graph, fused. Callers must not change it."""
    return fuse(loaded(subject).graph)


@lru_cache(maxsize=2)
def dense_scorer(subject: Subject, images: int) -> Scorer:
    """``images`` images and the outputs of the captured float model for them, with its BatchNorms: for pruning."""
    found = loaded(subject)
    return _scorer(subject, found.graph, images)


@lru_cache(maxsize=2)
def fused_scorer(subject: Subject, images: int) -> Scorer:
    """``images`` images and the outputs of the fused float graph for them: for int8."""
    return _scorer(subject, fused_graph(subject), images)


def _scorer(subject: Subject, graph: fx.GraphModule, images: int) -> Scorer:
    found = loaded(subject)
    batches = evaluation_batches(found.data, images)
    return Scorer(graph, batches, found.given.metric, found.model.output_dims, usable_device(subject.device))


def _changed(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0
