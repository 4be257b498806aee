"""Batches in the form of DataLoaders, ``(images, labels)``: calibration uses the inputs and ignores the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

LABEL_KEYS = frozenset({"label", "labels"})
"""Keys of labels in dicts from tokenizers and their collators."""


def without_labels(batch: Any, names: Sequence[str]) -> Any:
    """The inputs of a model with arguments of these names; a batch in another form is returned as it is.

    A batch with one more entry than the model has inputs ends with the labels. ``((a, b), labels)`` is two inputs and
    their labels, and so is ``({"a": a, "b": b}, labels)``. A single input needs no tuple.
    """
    if isinstance(batch, Mapping):
        return {key: value for key, value in batch.items() if key in names or key not in LABEL_KEYS}
    if not isinstance(batch, (tuple, list)):
        return (batch,)
    if len(batch) == 2 and isinstance(batch[0], Mapping) and len(names) > 1:
        return batch[0]
    if len(batch) == 2 and isinstance(batch[0], (tuple, list)) and len(batch[0]) == len(names):
        return tuple(batch[0])
    if len(batch) == len(names) + 1:
        return tuple(batch[: len(names)])
    return tuple(batch)
