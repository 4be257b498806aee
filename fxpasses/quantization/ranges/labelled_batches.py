"""Batches as DataLoaders give them, ``(images, labels)``: calibration takes the inputs and leaves labels out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

LABEL_KEYS = frozenset({"label", "labels"})
"""In dicts, as tokenizers and their collators make them."""


def without_labels(batch: Any, names: Sequence[str]) -> Any:
    """The inputs of a model with arguments of these names; what is no batch for it comes back as it is, to be refused.

    One more entry than the model has inputs is the labels. ``((a, b), labels)`` is two inputs and their labels, so is
    ``({"a": a, "b": b}, labels)``, and a single input may come alone.
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
