"""Scores a changed model against the float model on the same data; the float model runs only once.

top1            share of images whose highest logit is the label, in percent
top1_agreement  share of images whose highest logit is the float model's, in percent
sqnr_db         10 log10(sum of float**2 / sum of (float - changed)**2), over all logits of all images
loss            mean cross entropy of the logits with the labels
metric          what a metric of :mod:`fxpasses.measure.metrics` makes of the output it names, where one is asked for
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from fxpasses.errors import InputError
from fxpasses.measure.accuracy import MeasuredSums, samples_first
from fxpasses.measure.metrics import POINTS, Metric
from fxpasses.measure.runners import first_tensor
from fxpasses.signature.outputs import tensors_of

from .on_device import CPU, OnDevice, lowered, placed

Inputs = tuple[Any, ...]
Run = Callable[..., object]
"""Function that runs a model: takes its inputs, returns logits ``[B, classes]`` or a structure that
starts with them.
"""
Batches = Callable[[], Iterable[tuple[Any, Any]]]
"""Function that makes the evaluation data from the start: inputs (a tensor, or a tuple) and labels for each batch."""

Outputs = tuple[Tensor, ...]
_OF_A_METRIC = ("metric", "falls")

AT_ONCE = 16
"""Number of batches whose outputs stay on a GPU before they are read: each reading waits for all work there."""

PIECE = 1 << 17
"""Recommended number of input values in a batch, one 224x224 image; larger batches only add cache misses."""


@dataclass(frozen=True)
class Score:
    """Accuracy figures of a model on the data; a figure is None without labels, or without logits.

    Attributes:
        images: number of images.
        top1, loss: against the labels.
        top1_agreement, sqnr_db: against the float model; ``sqnr_db`` is None if the outputs are equal, bit for bit.
        metric: value of the metric that was asked for.
        falls: whether a smaller metric is better.
    """

    images: int
    top1: float | None
    loss: float | None
    top1_agreement: float | None
    sqnr_db: float | None
    metric: float | None = None
    falls: bool = False

    def to_json(self) -> dict[str, Any]:
        document = asdict(self)
        return document if self.metric is not None else {k: v for k, v in document.items() if k not in _OF_A_METRIC}

    @property
    def quality(self) -> float:
        """Value that must not drop: the metric (negative if less is better), else accuracy in percent, or agreement."""
        if self.metric is not None:
            return -self.metric if self.falls else self.metric
        value = self.top1_agreement if self.top1 is None else self.top1
        if value is None:
            raise InputError(
                "cannot tell how good the model is",
                why="its outputs are no logits of classes",
                fix='name a metric: `metric="mse"`, miou, path/file.py:function ...',
            )
        return value


class Scorer:
    """The data, the float model's outputs for it, and the metric."""

    def __init__(
        self,
        float_model: Run,
        batches: Batches,
        metric: Metric | None = None,
        output_dims: Sequence[int | None] = (),
        device: torch.device = CPU,
    ) -> None:
        """Run the float model over the data.

        Args:
            output_dims: the dimension of the samples in each output, if it is not 0.
            device: where graphs are run; the CPU reads the outputs of several batches at a time.

        Raises:
            InputError: there is no data, labels do not fit, or the float model gives NaN or infinity.
        """
        self.batches, self.metric, self.output_dims, self.device = batches, metric, output_dims, device
        model = self.placed(float_model) if isinstance(float_model, fx.GraphModule) else float_model
        self._expected = [outputs for outputs, _ in self._outputs(model)]
        self.float_score = self.score(None)

    @property
    def images(self) -> int:
        return self.float_score.images

    @property
    def standard_error(self) -> float:
        """Standard error of the float model's quality; 0 if the metric is no share of decisions,
        for lack of a formula.
        """
        if self.metric is not None and not self.metric.is_share:
            return 0.0
        quality = self.float_score.quality
        return math.sqrt(quality * (100 - quality) / self.images)

    @property
    def what_is_lost(self) -> str:
        """Unit of a drop in quality."""
        return POINTS if self.metric is None else self.metric.what_is_lost

    def score(self, model: Run | None, progress: Callable[[int], None] | None = None) -> Score:
        """Score a model; None scores the float model."""
        sums = MeasuredSums.of(self.metric)
        if model is None:
            labels = (labels for _, labels in self.batches())
            found: Iterator[tuple[Outputs, Any]] = zip(self._expected, labels, strict=True)
        else:
            found = self._outputs(model)
        for expected, (outputs, target) in zip(self._expected, found, strict=True):
            sums.add(outputs, expected, target, "the model")
            if progress is not None:
                progress(len(expected[0]))
        if not sums.accuracy.images:
            raise InputError("cannot measure accuracy", why="there is not one image", fix="give at least one batch")
        compared = sums.accuracy.comparison()
        return Score(
            images=compared.images,
            top1=compared.top1,
            loss=sums.accuracy.mean_loss,
            top1_agreement=compared.top1_agreement,
            sqnr_db=compared.sqnr_db,
            metric=sums.value,
            falls=self.metric is not None and self.metric.falls,
        )

    def placed(self, gm: fx.GraphModule) -> Run:
        """A graph in float, on this scorer's device."""
        return placed(gm, self.device)

    def lowered(self, int8: fx.GraphModule) -> Run:
        """A QUANTIZED graph as int8 kernels, on this scorer's device."""
        return lowered(int8, self.device)

    def _outputs(self, model: Run) -> Iterator[tuple[Outputs, Any]]:
        at_once = AT_ONCE if isinstance(model, OnDevice) else 1
        batches = iter(self.batches())
        while window := list(islice(batches, at_once)):
            with torch.inference_mode():
                given = [model(*in_memory_order(inputs)) for inputs, _ in window]
            for found, (_, labels) in zip(given, window, strict=True):
                yield self._read(_here(found) if at_once > 1 else found), labels

    def _read(self, given: object) -> Outputs:
        """Outputs to compare, the leading one first."""
        if self.metric is None or (not self.metric.reads_all and not self.metric.index):
            return samples_first((first_tensor(given, "the model").float(),), self.output_dims)
        leaves = samples_first(tuple(tensors_of(given)), self.output_dims)
        return leaves if self.metric.reads_all else (leaves[self.metric.index].float(),)


def _here(outputs: object) -> object:
    return pytree.tree_map(lambda x: x.cpu() if isinstance(x, Tensor) else x, outputs)


def in_memory_order(inputs: object) -> Inputs:
    """A batch as the arguments of a model; images get the channels-last layout, with which convolutions are fast."""
    given = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    return tuple(
        x.contiguous(memory_format=torch.channels_last) if isinstance(x, Tensor) and x.dim() == 4 else x for x in given
    )
