"""Data from the caller's file: ``path/file.py:factory``.

The factory returns an iterable of batches, such as a DataLoader: tensors ``[B, *input_shape]``, or pairs of such a
tensor and labels ``[B]``, ready to be fed to the model. For a model of several inputs a batch is a tuple of them, or a
dict as a tokenizer returns it, with labels after them or under ``labels``. With ``--metric``, labels have the form that
the metric takes. Or the factory returns an object with the methods of :class:`fxpasses.models.DataSource`. It is called
again for every pass over the data, so it may be a generator function. With one iterable, calibration and evaluation get
the same batches. Batches may be endless: only as many are read as are needed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from fxpasses.callers_code import told_as_the_callers
from fxpasses.errors import InputError

from ..data.data_source import CALIBRATION_BATCH, EVALUATION_BATCH, DataSource, SplitSource, check_count
from ..model_input import InputShape, TakesInput
from .user_batches import COUNTED, Batch, BatchRules, checked_batches, samples_of
from .user_code import call_factory, file_of, load_factory
from .user_source import UserSource

WITHOUT_END = sys.maxsize
"""Number of images of data that has no length and does not end after ``COUNTED`` images."""


def user_data(spec: str, model: TakesInput) -> DataSource:
    """Open the caller's own :class:`DataSource`, or make one from their batches."""
    factory = load_factory(spec)
    given = call_factory(factory, spec)
    if isinstance(given, SplitSource):
        return given
    rules = BatchRules.of(spec, model)
    if isinstance(given, DataSource):
        return UserSource(given, rules)
    if not isinstance(given, Iterable):
        raise InputError(
            f"{spec} gave a {type(given).__name__}",
            why="it is neither batches nor a data source",
            fix="return an iterable of tensors or of (tensor, labels)",
        )
    return UserBatches(factory, rules)


@dataclass(frozen=True)
class UserBatches:
    """A :class:`fxpasses.models.DataSource` from the iterable of a factory."""

    factory: Callable[[], object]
    rules: BatchRules

    num_classes = None

    @property
    def name(self) -> str:
        return self.rules.name

    @property
    def input_shape(self) -> InputShape:
        return self.rules.input_shape

    @cached_property
    def calibration_images(self) -> int:
        """Number of images, counted in one pass at first use; ``WITHOUT_END`` if the data seems endless."""
        images, known = 0, self._known_batches()
        for number, (inputs, _) in enumerate(self._batches()):
            if images >= COUNTED and number >= known:
                return WITHOUT_END
            images += samples_of(inputs)
        if not images:
            raise InputError(f"{self.name} has no image", why="its batches are empty", fix="give at least one image")
        return images

    @property
    def evaluation_images(self) -> int:
        return self.calibration_images

    def for_logits(self, logits: tuple[int, ...]) -> UserBatches:
        """Return this data for a model with outputs of shape ``logits``, without the batch: other
        labels are refused.
        """
        return replace(self, rules=replace(self.rules, logits=logits))

    def with_any_labels(self) -> UserBatches:
        """Return this data for a metric that checks the labels itself."""
        return replace(self, rules=replace(self.rules, any_labels=True))

    def calibration(self, images: int, batch_size: int = CALIBRATION_BATCH, seed: int = 0) -> Iterator[Any]:
        """Yield the first ``images`` inputs in the caller's order; the seed has no effect."""
        check_count("calibration images", images, self.calibration_images, self.name)
        check_count("batch size", batch_size)
        return (inputs for inputs, _ in self._resized(batch_size, images))

    def evaluation(self, batch_size: int = EVALUATION_BATCH, limit: int | None = None) -> Iterator[Batch]:
        """Yield the first ``limit`` inputs in the caller's order, with their labels, if there are any."""
        check_count("batch size", batch_size)
        if limit is not None:
            check_count("evaluation images", limit)
        elif self.calibration_images == WITHOUT_END:
            raise InputError(
                f"{self.name} has no end",
                why=f"it goes on after {COUNTED} images, and all of it is to be read",
                fix="end it; where it is longer, have the factory return an iterable with a length, as a DataLoader",
            )
        return self._resized(batch_size, limit)

    def _resized(self, batch_size: int, limit: int | None) -> Iterator[Batch]:
        """Yield the caller's batches, cut and joined to ``batch_size``."""
        left = limit
        kept: list[Any] = []
        kept_labels: list[Any] = []
        for inputs, labels in self._batches():
            for index in range(samples_of(inputs)):
                if left == 0:
                    break
                kept.append(_at(inputs, index))
                kept_labels.append(None if labels is None else labels[index])
                left = None if left is None else left - 1
                if len(kept) == batch_size:
                    yield _together(kept), _stacked(kept_labels)
                    kept, kept_labels = [], []
            if left == 0:
                break
        if kept:
            yield _together(kept), _stacked(kept_labels)
        if left and self.calibration_images == WITHOUT_END:
            raise InputError(
                f"{self.name} ends {left} images before {limit}",
                why="it has no more",
                fix=f"ask for {(limit or 0) - left}",
            )

    def _batches(self) -> Iterator[Batch]:
        return checked_batches(lambda: call_factory(self.factory, self.name), self.rules, file_of(self.name))

    def _known_batches(self) -> int:
        """Number of batches by the iterable's length; 0 if it has none."""
        batches = call_factory(self.factory, self.name)
        with told_as_the_callers(f"len() of {self.name} failed", "give the true number", file_of(self.name)):
            return len(batches) if isinstance(batches, Sized) else 0


def _at(inputs: Tensor | tuple[Tensor, ...], index: int) -> Tensor | tuple[Tensor, ...]:
    """One sample of a batch."""
    return tuple(x[index] for x in inputs) if isinstance(inputs, tuple) else inputs[index]


def _together(samples: list[Any]) -> Tensor | tuple[Tensor, ...]:
    """Stack samples to a batch."""
    if isinstance(samples[0], tuple):
        return tuple(torch.stack(each) for each in zip(*samples, strict=True))
    return torch.stack(samples)


def _stacked(labels: list[Any]) -> Any:
    """Labels as one tensor if they are tensors of one shape, else as a list; None without labels."""
    if any(label is None for label in labels):
        return None
    if all(isinstance(label, Tensor) for label in labels) and len({label.shape for label in labels}) == 1:
        return torch.stack(labels)
    return labels
