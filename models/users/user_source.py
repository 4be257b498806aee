"""Checks every result of the caller's own :class:`fxpasses.models.DataSource`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from fxpasses.callers_code import told_as_the_callers
from fxpasses.errors import InputError

from ..data.data_source import CALIBRATION_BATCH, EVALUATION_BATCH, DataSource, check_count
from ..model_input import InputShape
from .user_batches import Batch, BatchRules, checked_batches, samples_of
from .user_code import file_of


@dataclass(frozen=True)
class UserSource:
    """The source ``given``, with all its results checked; images beyond the limit are not read."""

    given: DataSource
    rules: BatchRules

    @property
    def name(self) -> str:
        with self._told("name"):
            return str(self.given.name)

    @property
    def num_classes(self) -> int | None:
        with self._told("num_classes"):
            found: object = self.given.num_classes
        return None if found is None else self._number("num_classes", found)

    @property
    def input_shape(self) -> InputShape:
        return self.rules.input_shape

    @property
    def calibration_images(self) -> int:
        with self._told("calibration_images"):
            found: object = self.given.calibration_images
        return self._number("calibration_images", found)

    @property
    def evaluation_images(self) -> int:
        with self._told("evaluation_images"):
            found: object = self.given.evaluation_images
        return self._number("evaluation_images", found)

    def for_logits(self, logits: tuple[int, ...]) -> UserSource:
        """Return this data for a model with outputs of shape ``logits``, without the batch: other
        labels are refused.
        """
        return replace(self, rules=replace(self.rules, logits=logits))

    def with_any_labels(self) -> UserSource:
        """Return this data for a metric that checks the labels itself."""
        return replace(self, rules=replace(self.rules, any_labels=True))

    def calibration(self, images: int, batch_size: int = CALIBRATION_BATCH, seed: int = 0) -> Iterator[Any]:
        """Yield at most ``images`` inputs."""
        check_count("calibration images", images, self.calibration_images, self.name)
        check_count("batch size", batch_size)
        batches = self._batches(lambda: self.given.calibration(images, batch_size, seed), images)
        return (inputs for inputs, _ in batches)

    def evaluation(self, batch_size: int = EVALUATION_BATCH, limit: int | None = None) -> Iterator[Batch]:
        """Yield at most ``limit`` inputs with their labels, by default the number that the source reports."""
        check_count("batch size", batch_size)
        if limit is not None:
            check_count("evaluation images", limit)
        images = self.evaluation_images if limit is None else limit
        return self._batches(lambda: self.given.evaluation(batch_size, limit), images)

    def _batches(self, made: Callable[[], object], images: int) -> Iterator[Batch]:
        left = images
        for inputs, labels in checked_batches(made, self.rules, file_of(self.rules.name)):
            cut = tuple(x[:left] for x in inputs) if isinstance(inputs, tuple) else inputs[:left]
            yield cut, None if labels is None else labels[:left]
            left -= samples_of(inputs)
            if left <= 0:
                return

    def _number(self, what: str, found: object) -> int:
        if type(found) is not int or found < 1:
            raise InputError(
                f"{self.rules.name}: {what} is {found!r}",
                why="it is a whole number, 1 or more",
                fix="return the true one",
            )
        return found

    def _told(self, what: str) -> AbstractContextManager[None]:
        return told_as_the_callers(f"{what} of {self.rules.name} failed", "mend it", file_of(self.rules.name))
