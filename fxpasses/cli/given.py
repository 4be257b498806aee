"""Opens the model and the data of a command and checks that they fit; default numbers of images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fxpasses.machine.environment import usable_threads
from fxpasses.measure.metrics import Metric
from fxpasses.models.data.data_source import DataSource
from fxpasses.models.datasets import open_dataset
from fxpasses.models.loaded_model import LoadedModel

from .folders.batch_places import placed_data
from .folders.factory_inputs import told_what_to_return
from .folders.fitting import fitted
from .folders.folder import DataChoice, ModelChoice
from .options.metric import metric_of
from .options.shared import check_threads
from .terminal import Terminal

DEFAULT_CALIBRATION_IMAGES = 256
DEFAULT_EVALUATION_IMAGES = 1000
PARITY_IMAGES = 64
PARITY_NODE_IMAGES = 8
PARITY_BATCH = 8


@dataclass(frozen=True)
class Input:
    """A loaded model with its data, the entries of the report on both, and the metric."""

    model: LoadedModel
    data: DataSource
    model_details: Mapping[str, object]
    data_details: Mapping[str, object]
    metric: Metric | None = None


def open_input(model: ModelChoice, data: DataChoice, terminal: Terminal) -> Input:
    """Load the model and open the data."""
    with terminal.step("load model and data"):
        return open_both(model, data)


def open_both(model: ModelChoice, data: DataChoice) -> Input:
    """Load the model, its data and its metric, and check that they fit each other."""
    loaded = model.load()
    source = open_dataset(data.spec, loaded, data.labels)
    with told_what_to_return(loaded):
        metric = metric_of(data.metric, loaded, source)
        source = placed_data(fitted(loaded, source, metric), loaded)
    return Input(loaded, source, model.details(loaded), data.details(), metric)


def default_threads(threads: int | None) -> int:
    """Number of threads: the value of ``--threads``, or by default all that the process may use."""
    check_threads(threads)
    return usable_threads() if threads is None else threads
