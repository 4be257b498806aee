"""Batches in the form of DataLoaders, ``(images, labels)``: calibration uses the inputs and ignores the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from ...signature.examples import is_spec, specs_in, tensors_in
from ...signature.label_check import LABEL_KEYS


def without_labels(batch: Any, names: Sequence[str], examples: Sequence[Any]) -> Any:
    """The inputs of a model with arguments of these names; a batch in another form is returned as it is.

    A batch with one more entry than the model has inputs ends with the labels. ``((a, b), labels)`` is two inputs and
    their labels, and so is ``({"a": a, "b": b}, labels)``, unless the model takes such a pair. A single input needs no
    tuple.

    Args:
        names: names of the model's arguments.
        examples: a tensor's spec, or a structure of specs, for each argument.
    """
    if isinstance(batch, Mapping):
        return {key: value for key, value in batch.items() if key in names or key not in LABEL_KEYS}
    if not isinstance(batch, (tuple, list)):
        return (batch,)
    if len(batch) == len(examples) and all(map(_are_alike, batch, examples)):
        return tuple(batch)
    if len(batch) == 2 and isinstance(batch[0], Mapping) and len(names) > 1:
        return batch[0]
    if len(batch) == 2 and isinstance(batch[0], (tuple, list)) and len(batch[0]) == len(names):
        return tuple(batch[0])
    if len(batch) == len(names) + 1:
        return tuple(batch[: len(names)])
    return tuple(batch)


def _are_alike(value: Any, example: Any) -> bool:
    """Whether an entry has the form of an argument: a tensor, or a structure of as many tensors."""
    if is_spec(example) or isinstance(value, Tensor):
        return is_spec(example) and isinstance(value, Tensor)
    return len(tensors_in(value)) == len(specs_in((example,)))
