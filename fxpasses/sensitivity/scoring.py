"""How good a changed model still is, against the float model on the same data; float runs only once.

top1            share of images whose highest logit is the label, in percent
top1_agreement  share of images whose highest logit is the float model's, in percent
sqnr_db         10 log10(sum of float**2 / sum of (float - changed)**2), over all logits of all images
loss            mean cross entropy of the logits with the labels
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from fxpasses.errors import InputError
from fxpasses.export.accuracy import AccuracySums, checked_logits
from fxpasses.export.runners import first_tensor

Inputs = tuple[Any, ...]
Run = Callable[..., object]
"""A model: takes its inputs, gives logits ``[B, classes]``, or something that starts with them."""
Batches = Callable[[], Iterable[tuple[Any, Tensor | None]]]
"""Makes the evaluation data anew: inputs (a tensor, or a tuple of them) and labels ``[B]`` or None."""

PIECE = 1 << 17
"""Input values a batch should have, one 224x224 image: larger batches only cost page faults and cache misses."""


@dataclass(frozen=True)
class Score:
    """What a model made of the data; None where there are no labels, or no logits.

    Attributes:
        images: seen.
        top1, loss: against the labels.
        top1_agreement, sqnr_db: against the float model; ``sqnr_db`` is None where the outputs equal its, bit for bit.
    """

    images: int
    top1: float | None
    loss: float | None
    top1_agreement: float | None
    sqnr_db: float | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def quality(self) -> float:
        """What must not drop, in percent: accuracy, or agreement with float where there are no labels."""
        value = self.top1_agreement if self.top1 is None else self.top1
        if value is None:
            raise InputError(
                "cannot tell how good the model is",
                why="its outputs are no logits of classes",
                fix="give a model that classifies",
            )
        return value


class Yardstick:
    """The data, and what the float model makes of it."""

    def __init__(self, float_model: Run, batches: Batches) -> None:
        """Runs the float model over the data.

        Raises:
            InputError: there is no data, labels do not fit, or the float model gives NaN or infinity.
        """
        self.batches = batches
        self._expected = [logits for logits, _ in self._outputs(float_model)]
        self.float_score = self.score(None)

    @property
    def images(self) -> int:
        return self.float_score.images

    def score(self, model: Run | None, progress: Callable[[int], None] | None = None) -> Score:
        """The score of a model; None is the float model."""
        sums = AccuracySums()
        if model is None:
            labels = (labels for _, labels in self.batches())
            found: Iterator[tuple[Tensor, Tensor | None]] = zip(self._expected, labels, strict=True)
        else:
            found = self._outputs(model)
        for expected, (logits, target) in zip(self._expected, found, strict=True):
            sums.add(logits, expected, target)
            if progress is not None:
                progress(len(expected))
        if not sums.images:
            raise InputError("cannot measure accuracy", why="there is not one image", fix="give at least one batch")
        compared = sums.comparison()
        return Score(
            images=compared.images,
            top1=compared.top1,
            loss=sums.mean_loss,
            top1_agreement=compared.top1_agreement,
            sqnr_db=compared.sqnr_db,
        )

    def _outputs(self, model: Run) -> Iterator[tuple[Tensor, Tensor | None]]:
        for inputs, labels in self.batches():
            with torch.inference_mode():
                logits = first_tensor(model(*in_memory_order(inputs)), "the model").float()
            yield checked_logits(logits, labels, "the model"), labels


def in_memory_order(inputs: object) -> Inputs:
    """A batch as the arguments of a model, images with channels last: that is how convolutions are fast."""
    given = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    return tuple(
        x.contiguous(memory_format=torch.channels_last) if isinstance(x, Tensor) and x.dim() == 4 else x for x in given
    )
