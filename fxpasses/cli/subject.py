"""A model and its data as settings that travel between processes, and opened, once in each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from torch import fx

from fxpasses.models.data_source import DataSource
from fxpasses.models.datasets import open_dataset
from fxpasses.models.loaded_model import LoadedModel
from fxpasses.sensitivity.scoring import Yardstick
from fxpasses.tracing import capture

from .evaluation_data import evaluation_batches
from .folder import DataChoice, ModelChoice


@dataclass(frozen=True)
class Subject:
    """What is measured: which model, on which images."""

    model: ModelChoice
    data: DataChoice
    images: int
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
            "seed": self.model.seed,
            "image_size": self.model.image_size,
            "data": self.data.details(),
            "images": self.images,
        }


@dataclass(frozen=True)
class Opened:
    """A subject in this process: the model, its FLOAT graph as captured, its data, and the float model's logits."""

    model: LoadedModel
    graph: fx.GraphModule
    data: DataSource
    yardstick: Yardstick


@lru_cache(maxsize=1)
def opened(subject: Subject) -> Opened:
    """Load, capture, and run the float model; the same subject is opened once in a process."""
    import torch

    torch.set_num_threads(subject.threads)
    model = subject.model.load()
    data = open_dataset(subject.data.spec, model, subject.data.labels)
    graph = capture(model.module, model.example_inputs())
    return Opened(model, graph, data, Yardstick(graph, evaluation_batches(data, subject.images)))


def _changed(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0
