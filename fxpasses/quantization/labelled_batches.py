"""Batches as DataLoaders give them, ``(images, labels)``: calibration takes the inputs and leaves labels out."""

from __future__ import annotations

from typing import Any


def inputs_of_batch(batch: Any, count: int) -> tuple[Any, ...]:
    """The inputs of a model that takes ``count`` of them; what is no batch for it comes back as it is, to be refused.

    One more entry than the model has inputs is the labels. ``((a, b), labels)`` is two inputs and their labels, and a
    single input may come alone.
    """
    if not isinstance(batch, (tuple, list)):
        return (batch,)
    if len(batch) == 2 and isinstance(batch[0], (tuple, list)) and len(batch[0]) == count:
        return tuple(batch[0])
    if len(batch) == count + 1:
        return tuple(batch[:count])
    return tuple(batch)
