"""Data from the caller's file: ``path/file.py:factory``.

The factory returns an iterable of batches, tensors ``[B, *input_shape]`` or pairs of such a tensor and labels
``[B]``, ready to be fed to the model; or an object with the methods of :class:`.DataSource`. It is called again for
every pass over the data, so it may be a generator function. With one iterable, calibration and evaluation see the
same batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from fxpasses.errors import InputError

from .data_source import CALIBRATION_BATCH, EVALUATION_BATCH, DataSource, check_count
from .model_input import InputShape, TakesInput, shape_text
from .user_code import USER_ERRORS, call_factory, load_factory


def user_data(spec: str, model: TakesInput) -> DataSource:
    """The caller's own :class:`DataSource`, or their batches as one."""
    factory = load_factory(spec)
    given = call_factory(factory, spec)
    if isinstance(given, DataSource):
        return given
    if not isinstance(given, Iterable):
        raise InputError(
            f"{spec} gave a {type(given).__name__}",
            why="it is neither batches nor a data source",
            fix="return an iterable of tensors or of (tensor, labels)",
        )
    return UserBatches(spec, factory, model.input_shape)


@dataclass(frozen=True)
class UserBatches:
    """The iterable a factory makes, as a :class:`.DataSource`."""

    name: str
    factory: Callable[[], object]
    input_shape: InputShape

    num_classes = None

    @cached_property
    def calibration_images(self) -> int:
        """Counted in one pass, at first use."""
        return sum(len(inputs) for inputs, _ in self._batches())

    @property
    def evaluation_images(self) -> int:
        return self.calibration_images

    def calibration(self, images: int, batch_size: int = CALIBRATION_BATCH, seed: int = 0) -> Iterator[Tensor]:
        """The first ``images`` inputs in the caller's order; the seed changes nothing."""
        check_count("calibration images", images, self.calibration_images, self.name)
        check_count("batch size", batch_size)
        return (inputs for inputs, _ in self._resized(batch_size, images))

    def evaluation(
        self, batch_size: int = EVALUATION_BATCH, limit: int | None = None
    ) -> Iterator[tuple[Tensor, Tensor | None]]:
        """The first ``limit`` inputs in the caller's order, with their labels where given."""
        check_count("batch size", batch_size)
        if limit is not None:
            check_count("evaluation images", limit)
        return self._resized(batch_size, limit)

    def _resized(self, batch_size: int, limit: int | None) -> Iterator[tuple[Tensor, Tensor | None]]:
        """The caller's batches cut and joined to ``batch_size``."""
        left = limit
        kept: list[Tensor] = []
        kept_labels: list[Tensor | None] = []
        for inputs, labels in self._batches():
            for index in range(len(inputs)):
                if left == 0:
                    break
                kept.append(inputs[index])
                kept_labels.append(None if labels is None else labels[index])
                left = None if left is None else left - 1
                if len(kept) == batch_size:
                    yield torch.stack(kept), _stacked(kept_labels)
                    kept, kept_labels = [], []
            if left == 0:
                break
        if kept:
            yield torch.stack(kept), _stacked(kept_labels)

    def _batches(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        batches = call_factory(self.factory, self.name)
        assert isinstance(batches, Iterable)
        iterator = iter(batches)
        number = 0
        while True:
            try:
                batch = next(iterator)
            except StopIteration:
                break
            except USER_ERRORS as error:
                raise InputError(
                    f"{self.name} failed at batch {number}",
                    why=f"{type(error).__name__}: {error}",
                    fix="make the factory's batches readable to the end",
                ) from error
            yield self._checked(batch, number)
            number += 1
        if not number:
            raise InputError(f"{self.name} is empty", why="the factory gave no batch", fix="give at least one batch")

    def _checked(self, batch: object, number: int) -> tuple[Tensor, Tensor | None]:
        inputs, labels = batch if isinstance(batch, (tuple, list)) and len(batch) == 2 else (batch, None)
        if not isinstance(inputs, Tensor) or not (labels is None or isinstance(labels, Tensor)):
            raise InputError(
                f"{self.name}: batch {number} is a {type(batch).__name__}",
                why="a batch is a tensor or (tensor, labels)",
                fix="convert it to tensors",
            )
        if tuple(inputs.shape[1:]) != self.input_shape:
            raise InputError(
                f"{self.name}: batch {number} has the shape {shape_text(tuple(inputs.shape))}",
                why=f"the model takes Bx{shape_text(self.input_shape)}",
                fix="give batches of the model's shape",
            )
        return inputs, labels


def _stacked(labels: list[Tensor | None]) -> Tensor | None:
    known = [label for label in labels if label is not None]
    return torch.stack(known).to(torch.int64) if len(known) == len(labels) else None
