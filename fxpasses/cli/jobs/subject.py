"""A model and its data as settings that travel between processes; opened once in each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from torch import fx

from fxpasses.capturing.attempts import capture
from fxpasses.models.data.data_source import DataSource
from fxpasses.models.loaded_model import LoadedModel
from fxpasses.passes.fusion import fuse
from fxpasses.sensitivity.scoring import Yardstick

from ..folders.folder import DataChoice, ModelChoice
from ..given import Input, open_both
from .evaluation_data import evaluation_batches


@dataclass(frozen=True)
class Subject:
    """What is measured, and on how many threads in each process."""

    model: ModelChoice
    data: DataChoice
    threads: int = 1

    @property
    def about(self) -> dict[str, object]:
        """What a journal has to be about for its measurements to hold."""
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
        }


@dataclass(frozen=True)
class Loaded:
    """A subject in this process; ``graph`` is FLOAT, as captured."""

    model: LoadedModel
    data: DataSource
    graph: fx.GraphModule
    given: Input
    """As the commands pass it on."""


@lru_cache(maxsize=1)
def loaded(subject: Subject) -> Loaded:
    """Load and capture."""
    given = open_both(subject.model, subject.data)
    graph = capture(given.model.module, given.model.example_inputs())
    return Loaded(given.model, given.data, graph, given)


@lru_cache(maxsize=1)
def fused_graph(subject: Subject) -> fx.GraphModule:
    """The FLOAT graph, fused; not to be changed."""
    return fuse(loaded(subject).graph)


@lru_cache(maxsize=2)
def dense_yardstick(subject: Subject, images: int) -> Yardstick:
    """That many images, and what the float model makes of them, BatchNorms and all: for pruning."""
    found = loaded(subject)
    return Yardstick(found.graph, evaluation_batches(found.data, images), found.given.metric)


@lru_cache(maxsize=2)
def fused_yardstick(subject: Subject, images: int) -> Yardstick:
    """That many images, and what the fused float graph makes of them: for int8."""
    found = loaded(subject)
    return Yardstick(fused_graph(subject), evaluation_batches(found.data, images), found.given.metric)


def _changed(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0
