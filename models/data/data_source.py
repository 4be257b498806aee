"""Data sources: batches to calibrate on, and labelled batches to evaluate on.

A :class:`Split` reads a few images at a time by index; :class:`SplitSource` makes batches of two splits. Only one batch
is in memory at once, for any number of images.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from fxpasses.errors import InputError

from ..model_input import InputShape, Preprocessing, TakesInput, shape_text

CALIBRATION_BATCH = 8
EVALUATION_BATCH = 50


@runtime_checkable
class DataSource(Protocol):
    """Preprocessed batches for one model; the same call gives the same batches again."""

    @property
    def name(self) -> str: ...

    @property
    def num_classes(self) -> int | None: ...

    @property
    def input_shape(self) -> InputShape: ...

    @property
    def calibration_images(self) -> int:
        """Number of images available for calibration."""

    @property
    def evaluation_images(self) -> int: ...

    def calibration(self, images: int, batch_size: int = CALIBRATION_BATCH, seed: int = 0) -> Iterator[Any]:
        """Yield ``images`` inputs of the training split, ``[B, *input_shape]``; the last batch may be smaller.

        For a model of several inputs a batch is a tuple of tensors.
        """

    def evaluation(self, batch_size: int = EVALUATION_BATCH, limit: int | None = None) -> Iterator[tuple[Any, Any]]:
        """Yield inputs and labels of the other split; labels are int64 ``[B]`` for classes.

        ``limit`` takes that many, evenly spread over it.
        """


class Split(Protocol):
    """Images by index, not yet preprocessed."""

    def __len__(self) -> int: ...

    @property
    def labels(self) -> Tensor | None:
        """Classes int64 ``[N]``, or None if images have no class."""

    def inputs(self, indices: Tensor) -> Tensor:
        """Images uint8 ``[B, C, H, W]``; data other than images comes in the form that the model takes."""


@runtime_checkable
class TargetSplit(Protocol):
    """A split whose labels are more than a class for each image: masks, boxes, numbers to predict."""

    def targets(self, indices: Tensor) -> Any:
        """Labels of these images; the data source documents their form."""


def targets_of(split: Split, indices: Tensor) -> Any:
    """Labels of these images; None if there are none."""
    if isinstance(split, TargetSplit):
        return split.targets(indices)
    return None if split.labels is None else split.labels[indices]


@dataclass(frozen=True)
class SplitSource:
    """A :class:`DataSource` of two splits: ``training`` for calibration, ``held_out`` for evaluation."""

    name: str
    training: Split
    held_out: Split
    input_shape: InputShape
    preprocessing: Preprocessing | None
    num_classes: int | None

    @property
    def calibration_images(self) -> int:
        return len(self.training)

    @property
    def evaluation_images(self) -> int:
        return len(self.held_out)

    def calibration(self, images: int, batch_size: int = CALIBRATION_BATCH, seed: int = 0) -> Iterator[Tensor]:
        """Yield calibration inputs; see :class:`DataSource`. A larger number of images begins with the same ones."""
        check_count("calibration images", images, self.calibration_images, self.name)
        check_count("batch size", batch_size)
        order = spread_over_classes(len(self.training), self.training.labels, seed)[:images]
        return (self._inputs(self.training, indices) for indices in torch.split(order, batch_size))

    def evaluation(self, batch_size: int = EVALUATION_BATCH, limit: int | None = None) -> Iterator[tuple[Tensor, Any]]:
        """Yield inputs and labels of the held-out split; see :class:`DataSource`."""
        check_count("batch size", batch_size)
        order = torch.arange(len(self.held_out))
        if limit is not None:
            check_count("evaluation images", limit)
            if limit < len(order):
                order = torch.arange(limit) * len(order) // limit
        return (
            (self._inputs(self.held_out, indices), targets_of(self.held_out, indices))
            for indices in torch.split(order, batch_size)
        )

    def training_batches(self, batch_size: int = 32, seed: int = 0) -> Iterator[tuple[Tensor, Any]]:
        """Yield the whole training split once, shuffled by the seed; images without labels are an
        :class:`InputError`.
        """
        if self.training.labels is None and not isinstance(self.training, TargetSplit):
            raise InputError(f"cannot train on {self.name}", why="it has no labels", fix="choose a labelled data set")
        order = torch.randperm(len(self.training), generator=torch.Generator().manual_seed(seed))
        return (
            (self._inputs(self.training, indices), targets_of(self.training, indices))
            for indices in torch.split(order, batch_size)
        )

    def _inputs(self, split: Split, indices: Tensor) -> Tensor:
        raw = split.inputs(indices)
        return raw if self.preprocessing is None else self.preprocessing(raw)


def spread_over_classes(count: int, labels: Tensor | None, seed: int) -> Tensor:
    """All indices ``[count]`` in an order fixed by the seed, such that every first part of it is
    balanced over classes.
    """
    shuffled = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    if labels is None:
        return shuffled
    classes = labels[shuffled]
    by_class = torch.argsort(classes, stable=True)
    sorted_classes = classes[by_class]
    first_of_class = torch.searchsorted(sorted_classes, sorted_classes, side="left")
    rank_in_class = torch.empty_like(by_class)
    rank_in_class[by_class] = torch.arange(count) - first_of_class
    return shuffled[torch.argsort(rank_in_class, stable=True)]


def check_count(what: str, count: int, available: int | None = None, source: str = "") -> None:
    """Raise :class:`InputError` unless ``1 <= count <= available``."""
    if count < 1:
        raise InputError(f"{what}: {count}", why="at least one is needed", fix="ask for 1 or more")
    if available is not None and count > available:
        raise InputError(f"{what}: {count}", why=f"{source} has only {available}", fix=f"ask for {available} or fewer")


def check_shape(source: str, native: InputShape, model: TakesInput) -> None:
    """Raise :class:`InputError` unless the images are what the model takes."""
    if native != model.input_shape:
        raise InputError(
            f"{source} does not fit the model",
            why=f"its inputs are {shape_text(native)}, the model takes {shape_text(model.input_shape)}",
            fix="choose data of the model's size, or, for a model of your own, return (module, (C, H, W)) from its "
            "factory",
        )
