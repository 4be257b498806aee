"""Labelled batches of a training run. After a resume they are the same again, from the place where the run stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from typing import Any

from ...errors import InputError
from ...signature.label_check import LABEL_KEYS

BatchesOfEpoch = Callable[[int], Iterable[Any]]


class RunData:
    """The data of a run, and the place of the run in it.

    Args:
        loader: a DataLoader or list of ``(inputs, labels)``, or a function that returns the batches of an epoch for its
            number. Random choices in it must come from its own seed, or from the global generators of python, numpy or
            torch, whose states a checkpoint keeps.
        steps_per_epoch: needed if the loader has no length.
    """

    def __init__(self, loader: Iterable[Any] | BatchesOfEpoch, steps_per_epoch: int | None = None) -> None:
        self._loader = loader
        self.steps_per_epoch = _length(loader) if steps_per_epoch is None else steps_per_epoch
        if self.steps_per_epoch < 1:
            raise InputError("training data", why="it gives no batch", fix="give at least one (inputs, labels)")
        self.epoch, self.taken = 0, 0
        self._batches: Iterator[Any] | None = None

    def next(self) -> tuple[Any, Any]:
        """Return the next batch; a new epoch begins when one is used up."""
        if self._batches is None:
            self._batches = iter(self._of_epoch())
        batch = next(self._batches, None) if self.taken < self.steps_per_epoch else None
        if batch is None:
            if self.taken == 0:
                raise InputError(
                    f"training data of epoch {self.epoch + 1}", why="it gives no batch", fix="give a list, or a loader"
                )
            self.epoch, self.taken = self.epoch + 1, 0
            self._batches = iter(self._of_epoch())
            batch = next(self._batches, None)
        self.taken += 1
        return _labelled(batch)

    @property
    def begins_epoch(self) -> bool:
        """Whether the next batch is the first of an epoch."""
        return self._batches is None or self.taken >= self.steps_per_epoch

    def go_to(self, epoch: int, taken: int) -> None:
        """Go to the place after ``taken`` batches of an epoch; random states must be those of the epoch's start."""
        self.epoch, self.taken = epoch, 0
        self._batches = iter(self._of_epoch())
        for _ in range(taken):
            next(self._batches, None)
        self.taken = taken

    def _of_epoch(self) -> Iterable[Any]:
        return self._loader(self.epoch) if callable(self._loader) else self._loader


def _length(loader: Iterable[Any] | BatchesOfEpoch) -> int:
    if callable(loader) or not isinstance(loader, Sized):
        raise InputError(
            "training data without a length",
            why="the length of the run and its learning rates are counted in steps",
            fix="pass steps_per_epoch=..., or a DataLoader or list",
        )
    return len(loader)


def _labelled(batch: Any) -> tuple[Any, Any]:
    """The inputs of a batch, in a form that ``inputs_of`` reads, and its labels."""
    if isinstance(batch, Mapping) and (keys := sorted(LABEL_KEYS & batch.keys())):
        return {key: value for key, value in batch.items() if key not in LABEL_KEYS}, batch[keys[-1]]
    if isinstance(batch, (tuple, list)) and len(batch) > 1:
        return (batch[0] if len(batch) == 2 else tuple(batch[:-1])), batch[-1]
    raise InputError(
        f"a training batch of type {type(batch).__name__}",
        why="the loop trains on (inputs, labels), on (input, input, ..., labels), or on a dict with 'labels'",
        fix="give such batches, or write a loop of your own: fx.prepare_training, train, fx.convert_trained",
    )
