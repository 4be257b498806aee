"""Checks batches from the caller's code one by one: only plain tensors of the model's shape are passed on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fxpasses.callers_code import told_as_the_callers
from fxpasses.errors import InputError
from fxpasses.signature.label_check import LABEL_KEYS, as_classes, require_classes

from ..model_input import InputShape, TakesInput, in_front, shape_text, without_dim

Batch = tuple[Any, Any]
"""Inputs, a tensor or a tuple of them, and labels: a tensor, None, or a list if a metric takes one."""
COUNTED = 16_384
"""Number of images, or of empty batches, after which data without a length counts as endless."""
_DTYPES = (
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
    *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool),
)


@dataclass(frozen=True)
class BatchRules:
    """Rules that a batch must satisfy.

    Attributes:
        name: name of the data, for messages.
        input_shape: shape without the batch.
        vocabulary: size of the vocabulary, for a model that reads tokens.
        logits: ``(classes, ...)``, shape of the model's output for one input; None if it is not known.
        further_shapes: shapes of the inputs after the first.
        input_names: names of the inputs, if batches may be dicts.
        any_labels: whether labels are for a metric that checks them itself: a tensor, or a list, with one entry for
            each sample.
        batch_dims: the dimension of the batch in each input, if they are not all 0.
    """

    name: str
    input_shape: InputShape
    vocabulary: int | None = None
    logits: tuple[int, ...] | None = None
    further_shapes: tuple[InputShape, ...] = ()
    input_names: tuple[str, ...] = ()
    any_labels: bool = False
    batch_dims: tuple[int, ...] = ()

    @classmethod
    def of(cls, name: str, model: TakesInput) -> BatchRules:
        """Rules for the input of a model."""
        return cls(
            name,
            model.input_shape,
            getattr(model, "vocabulary", None),
            further_shapes=getattr(model, "further_shapes", ()),
            input_names=getattr(model, "input_names", ()),
            batch_dims=getattr(model, "batch_dims", ()),
        )

    def checked(self, batch: object, number: int) -> Batch:
        """Check a batch; return inputs, with their samples along dimension 0, and labels: without gradients, classes as
        int64.

        Raises:
            InputError: the batch does not fit the model.
        """
        what = f"{self.name}: batch {number}"
        given, labels = parts_of_batch(batch, 1 + len(self.further_shapes), self.input_names)
        tensors = [x for x in given if isinstance(x, Tensor)]
        usable = labels is None or isinstance(labels, Tensor) or (self.any_labels and isinstance(labels, (tuple, list)))
        if len(tensors) < len(given) or len(given) != 1 + len(self.further_shapes) or not usable:
            raise InputError(
                f"{what} is {kind_of(batch)}",
                why=self._what_a_batch_is,
                fix="convert it to tensors",
            )
        inputs = tuple(self._checked_input(x, at, what) for at, x in enumerate(tensors))
        if len({len(x) for x in inputs}) > 1:
            sizes = ", ".join(str(len(x)) for x in inputs)
            raise InputError(
                f"{what} has inputs of {sizes} samples", why="they are one batch", fix="give as many of each"
            )
        self._require_tokens(inputs[0], what)
        return inputs[0] if len(inputs) == 1 else inputs, self._checked_labels(labels, len(inputs[0]), what)

    @property
    def _what_a_batch_is(self) -> str:
        if not self.further_shapes:
            return "a batch is a tensor or (tensor, labels)"
        named = f", or a dict of {', '.join(self.input_names)}" if self.input_names else ""
        return f"a batch is ({1 + len(self.further_shapes)} tensors), or (tensors, labels){named}"

    def _checked_input(self, x: Tensor, number: int, what: str) -> Tensor:
        shape = (self.input_shape, *self.further_shapes)[number]
        dim = self.batch_dims[number] if self.batch_dims else 0
        _require_plain(x, what)
        if x.dim() <= dim or without_dim(tuple(x.shape), dim) != shape:
            which = f" in input {number}" if self.further_shapes else ""
            raise InputError(
                f"{what} has the shape {shape_text(tuple(x.shape)) or 'of a single number'}{which}",
                why=f"the model takes {'x'.join([*map(str, shape[:dim]), 'B', *map(str, shape[dim:])])}",
                fix="give batches of the model's shape",
            )
        return in_front(x.detach(), dim)

    def _checked_labels(self, labels: object, count: int, what: str) -> Any:
        if labels is None:
            return None
        if not isinstance(labels, Tensor) or self.any_labels:
            return _one_for_each(labels, count, what)
        classes = as_classes(labels, count, what)
        if self.logits is not None:
            _require_for_logits(classes, self.logits, what)
        return classes

    def _require_tokens(self, inputs: Tensor, what: str) -> None:
        if self.vocabulary is None or not inputs.numel():
            return
        if inputs.is_floating_point() or int(inputs.min()) < 0 or int(inputs.max()) >= self.vocabulary:
            raise InputError(
                f"{what} holds something else than tokens",
                why=f"the model reads whole numbers from 0 to {self.vocabulary - 1}",
                fix="give int64 indices of its vocabulary",
            )


def parts_of_batch(batch: object, count: int, names: tuple[str, ...] = ()) -> tuple[tuple[object, ...], object]:
    """Split a batch, in any of the forms of DataLoaders, into the ``count`` inputs of a model and the labels.

    A dict has the inputs under the model's names for them, or in order under others, and its labels under ``labels`` or
    ``label``; ``(dict, labels)`` is allowed, too.
    """
    if isinstance(batch, Mapping):
        keys = sorted((LABEL_KEYS & batch.keys()) - set(names))
        named = tuple(batch[name] for name in names if name in batch)
        inputs = named or tuple(value for name, value in batch.items() if name not in LABEL_KEYS)
        return inputs, batch[keys[-1]] if keys else None
    if not isinstance(batch, (tuple, list)):
        return (batch,), None
    if len(batch) == 2 and isinstance(batch[0], Mapping | tuple | list):
        inner, _ = parts_of_batch(batch[0], count, names)
        return inner, batch[1]
    if len(batch) == count + 1:
        return tuple(batch[:count]), batch[count]
    return tuple(batch), None


def kind_of(batch: object) -> str:
    """Type of a batch and of its parts, for a message."""
    held = ""
    if isinstance(batch, (tuple, list)) and len(batch) == 2:
        held = f" of {type(batch[0]).__name__} and {type(batch[1]).__name__}"
    if isinstance(batch, Mapping):
        held = f" of {', '.join(map(str, batch)) or 'nothing'}"
    return f"a {type(batch).__name__}{held}"


def samples_of(inputs: Tensor | tuple[Tensor, ...]) -> int:
    """Number of samples in a batch."""
    return len(inputs[0]) if isinstance(inputs, tuple) else len(inputs)


def checked_batches(made: Callable[[], object], rules: BatchRules, file: Path) -> Iterator[Batch]:
    """Yield the checked batches of the iterable that ``made()`` returns, without empty ones.

    Raises:
        InputError: the caller's code fails, gives no batch, or endless empty ones; or only some batches have labels.
    """
    number, empty, first_labels = -1, 0, None
    for number, batch in enumerate(_each(made, rules.name, file)):
        inputs, labels = rules.checked(batch, number)
        if not number:
            first_labels = labels
        elif (labels is None) is not (first_labels is None):
            raise InputError(
                f"{rules.name}: batch {number} has {'no ' if labels is None else ''}labels",
                why=f"batch 0 has {'none' if first_labels is None else 'some'}",
                fix="give labels with every batch, or with none",
            )
        count = samples_of(inputs)
        empty = 0 if count else empty + 1
        if empty > COUNTED:
            raise InputError(
                f"{rules.name} has no image in {COUNTED} batches", why="they are empty", fix="end it, or give images"
            )
        if count:
            yield inputs, labels
    if number < 0:
        raise InputError(f"{rules.name} is empty", why="the factory gave no batch", fix="give at least one batch")


def _each(made: Callable[[], object], name: str, file: Path) -> Iterator[object]:
    """Yield the items of the iterable; an error names the number of the batch."""
    fix = "make the factory's batches readable to the end"
    with told_as_the_callers(f"{name} failed at batch 0", fix, file):
        iterator = iter(made())  # type: ignore[call-overload]  # no iterable: reported like any other failure
    number = 0
    while True:
        with told_as_the_callers(f"{name} failed at batch {number}", fix, file):
            try:
                batch = next(iterator)
            except StopIteration:
                return
        yield batch
        number += 1


def _one_for_each(labels: Any, count: int, what: str) -> Any:
    """Check labels for a metric that reads them itself."""
    if isinstance(labels, Tensor):
        if labels.layout != torch.strided or labels.device.type != "cpu":
            kept = labels.device if labels.layout == torch.strided else str(labels.layout).removeprefix("torch.")
            raise InputError(
                f"{what} has labels kept as {kept}", why="they are read on the CPU", fix="give labels.to_dense().cpu()"
            )
        labels = labels.detach()
    given = 0 if isinstance(labels, Tensor) and not labels.dim() else len(labels)
    if given != count:
        raise InputError(
            f"{what} has {given} labels for {count} inputs", why="every input needs one", fix="give as many"
        )
    return labels


def _require_for_logits(labels: Tensor, logits: tuple[int, ...], what: str) -> None:
    if tuple(labels.shape[1:]) != logits[1:]:
        raise InputError(
            f"{what} has labels of shape {list(labels.shape)}",
            why=f"the model gives logits {['B', *logits]}, and takes one label for each decision",
            fix="give indices of classes, labels [B] for logits [B, classes]; or name a `metric` that takes these",
        )
    require_classes(labels, logits[0], what)


def _require_plain(inputs: Tensor, what: str) -> None:
    if inputs.is_nested or inputs.layout != torch.strided:
        kind = "nested" if inputs.is_nested else str(inputs.layout).removeprefix("torch.")
        fix = "give torch.nested.to_padded_tensor(batch, 0.0)" if inputs.is_nested else "give batch.to_dense()"
        raise InputError(f"{what} is {kind}", why="a model reads dense tensors", fix=fix)
    if inputs.device.type != "cpu":
        fix = "give a batch that holds values, on the CPU" if inputs.is_meta else "give batch.cpu()"
        raise InputError(f"{what} is on {inputs.device}", why="everything runs on the CPU", fix=fix)
    if inputs.dtype not in _DTYPES:
        raise InputError(
            f"{what} is of {inputs.dtype}", why="a model reads real or whole numbers", fix="give batch.float()"
        )
