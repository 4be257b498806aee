"""Labelled batches of a data set to train on, shuffled, and augmented if asked to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from fxpasses.models.data.data_source import DataSource


def training_batches(
    data: DataSource, batch: int, seed: int, *, augment: bool = False, several_inputs: bool = False
) -> Iterator[tuple[Any, Tensor]]:
    """Yield the training split, shuffled, and mirrored and shifted if asked to. Images have the layout that is fastest
    on CPUs.

    The caller's own batches come in the caller's order; those of several inputs as tuples, if ``several_inputs`` allows
    them.

    Raises:
        InputError: there are no labels, or inputs are several or no images where they must not be.
    """
    import torch

    from fxpasses.errors import InputError
    from fxpasses.models.training.augmentation import augmentation_of

    moved = augmentation_of(data) if augment else None
    if augment and moved is None:
        raise InputError(
            f"cannot augment {data.name}", why="its inputs are no images", fix="leave --augment away for this data"
        )
    generator = torch.Generator().manual_seed(seed)
    for given, labels in _labelled_batches(data, batch, seed):
        if isinstance(given, tuple):
            if not several_inputs:
                fix = "train it yourself, and give --weights"
                raise InputError(f"cannot train on {data.name}", why="its batches are of several inputs", fix=fix)
            yield given, labels
            continue
        inputs = given if moved is None else moved(given, generator)
        layout = torch.channels_last if inputs.dim() == 4 else torch.contiguous_format
        yield inputs.contiguous(memory_format=layout), labels


def _labelled_batches(data: DataSource, batch: int, seed: int) -> Iterator[tuple[Any, Tensor]]:
    from fxpasses.errors import InputError
    from fxpasses.models.data.data_source import SplitSource

    if isinstance(data, SplitSource):
        yield from data.training_batches(batch, seed)
        return
    for inputs, labels in data.evaluation(batch):
        if labels is None:
            raise InputError(
                f"cannot train on {data.name}", why="it has no labels", fix="give (inputs, labels) batches"
            )
        yield inputs, labels
