"""``--metric``: a name, or ``path/file.py:function``, either with ``@KEY`` for an output other than the first.

The caller's function takes an output and its labels for each batch and returns a number; the mean over samples is the
metric. A class with ``update(output, labels)`` and ``compute()``, as those of torchmetrics, keeps its own sums; so does
the object that a function without arguments returns. If the model has several outputs and none is named, the metric
gets all of them, as a tuple. ``higher_is_better`` of the function or class says which direction is better.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from fxpasses.callers_code import told_as_the_callers
from fxpasses.capturing.checks import run_model
from fxpasses.errors import InputError
from fxpasses.measure.metrics import Metric, metric_named, of_output
from fxpasses.models.data.data_source import DataSource, SplitSource
from fxpasses.models.loaded_model import LoadedModel
from fxpasses.models.users.user_code import file_of, is_user_code, load_factory
from fxpasses.signature.outputs import keyed_tensors

from ..folders.detectors import detector_metric, layers_in

DETECTIONS = "map"
"""The metric of boxes."""


def metric_of(spec: str | None, model: LoadedModel, data: DataSource | None = None) -> Metric | None:
    """Return the metric that ``--metric`` names, for this model's output; None without one.

    Args:
        data: tells the number of classes, if the metric is of a whole detector's boxes.

    Raises:
        InputError: there is no such metric, or output.
    """
    if spec is None:
        return None
    path, _, name = spec.rpartition(":")
    name, at, wanted = name.partition("@")
    named = f"{path}:{name}" if path else name
    metric = _callers_own(named) if is_user_code(named) else metric_named(named)
    keys, layers = output_keys(model), layers_in(model)
    if layers is not None and metric.name == DETECTIONS and not at:
        categories = data.num_classes if isinstance(data, SplitSource) else None
        metric = detector_metric(metric, layers, keys, categories)
    return of_output(metric, wanted if at else None, keys)


def output_keys(model: LoadedModel) -> list[str]:
    """Names of the tensors in the model's output, in order; ``output`` if there is only one."""
    paths = [path for path, _ in keyed_tensors(run_model(model.module, model.example_inputs()))]
    if not paths:
        raise InputError(f"{model.name} gives no tensor", why="there is nothing to measure", fix="return the outputs")
    return [".".join(map(str, path)) or "output" for path in paths]


def _callers_own(spec: str) -> Metric:
    function: Any = load_factory(spec)
    rises = getattr(function, "higher_is_better", None)
    if not isinstance(rises, bool):
        name = spec.rpartition(":")[2]
        raise InputError(
            f"{spec} does not say which way is better",
            why="it has no higher_is_better of True or False, and --max-drop has to know",
            fix=f"write {name}.higher_is_better = False below it, where a smaller number is better",
        )
    return Metric(
        name=spec,
        title=spec.rpartition(":")[2],
        start=lambda: _sums_of(function, spec),
        falls=not rises,
        unit="",
        reads_all=True,
    )


def _sums_of(function: Callable[..., Any], spec: str) -> OwnSums | MeanOfBatches:
    if isinstance(function, type) or not inspect.signature(function).parameters:
        with _told(spec):
            made: Any = function()
        if not callable(getattr(made, "update", None)) or not callable(getattr(made, "compute", None)):
            raise InputError(
                f"{spec} gave a {type(made).__name__}",
                why="it has no update(output, labels) and compute()",
                fix="give it both, or write a function of (output, labels)",
            )
        return OwnSums(made, spec)
    return MeanOfBatches(function, spec)


@dataclass
class OwnSums:
    """A metric object of the caller's that keeps its own sums."""

    metric: Any
    spec: str

    def add(self, output: Any, labels: Any) -> None:
        """Pass a batch to the object."""
        with _told(self.spec):
            self.metric.update(output, labels)

    def value(self) -> float:
        """The metric over all batches."""
        with _told(self.spec):
            found = self.metric.compute()
        return _number(found, self.spec)


@dataclass
class MeanOfBatches:
    """A metric function of the caller's; its result is the mean over samples."""

    function: Callable[[Any, Any], Any]
    spec: str
    total: float = 0.0
    samples: int = 0

    def add(self, output: Any, labels: Any) -> None:
        """Add a batch."""
        with _told(self.spec):
            found = self.function(output, labels)
        count = len(output[0] if isinstance(output, tuple) else output)
        self.total += count * _number(found, self.spec)
        self.samples += count

    def value(self) -> float:
        """The mean over all samples."""
        return self.total / self.samples


def _told(spec: str) -> AbstractContextManager[None]:
    return told_as_the_callers(f"metric {spec} failed", "make it take (output, labels) of a batch", file_of(spec))


def _number(found: Any, spec: str) -> float:
    with _told(spec):
        value = float(found) if isinstance(found, (int, float, Tensor)) else math.nan
    if not math.isfinite(value):
        raise InputError(
            f"metric {spec} gave {found!r:.60}", why="it is no finite number", fix="return a float for each batch"
        )
    return value
