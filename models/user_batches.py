"""What the caller's code gives, checked batch by batch: only plain tensors of the model's shape go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from fxpasses.callers_code import told_as_the_callers
from fxpasses.errors import InputError
from fxpasses.label_check import as_classes, require_classes

from .model_input import InputShape, shape_text

Batch = tuple[Tensor, Tensor | None]
COUNTED = 16_384
"""Images, or empty batches; what goes on after as many, and does not say how long, is taken to be without end."""
_DTYPES = (
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
    *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool),
)


@dataclass(frozen=True)
class BatchRules:
    """What a batch must be.

    Attributes:
        name: of the data, for messages.
        input_shape: without the batch.
        vocabulary: of a model that reads tokens.
        logits: ``(classes, ...)``, what the model gives for one input; None where that is not known.
    """

    name: str
    input_shape: InputShape
    vocabulary: int | None = None
    logits: tuple[int, ...] | None = None

    def checked(self, batch: object, number: int) -> Batch:
        """Inputs and int64 labels, free of gradients.

        Raises:
            InputError: the batch is something else than the model takes.
        """
        what = f"{self.name}: batch {number}"
        inputs, labels = batch if isinstance(batch, (tuple, list)) and len(batch) == 2 else (batch, None)
        if not isinstance(inputs, Tensor) or not (labels is None or isinstance(labels, Tensor)):
            held = "" if inputs is batch else f" of {type(inputs).__name__} and {type(labels).__name__}"
            raise InputError(
                f"{what} is a {type(batch).__name__}{held}",
                why="a batch is a tensor or (tensor, labels)",
                fix="convert it to tensors",
            )
        _require_plain(inputs, what)
        if not inputs.dim() or tuple(inputs.shape[1:]) != self.input_shape:
            raise InputError(
                f"{what} has the shape {shape_text(tuple(inputs.shape)) or 'of a single number'}",
                why=f"the model takes Bx{shape_text(self.input_shape)}",
                fix="give batches of the model's shape",
            )
        self._require_tokens(inputs, what)
        if labels is not None:
            labels = as_classes(labels, len(inputs), what)
            if self.logits is not None:
                _require_for_logits(labels, self.logits, what)
        return inputs.detach(), labels

    def _require_tokens(self, inputs: Tensor, what: str) -> None:
        if self.vocabulary is None or not inputs.numel():
            return
        if inputs.is_floating_point() or int(inputs.min()) < 0 or int(inputs.max()) >= self.vocabulary:
            raise InputError(
                f"{what} holds something else than tokens",
                why=f"the model reads whole numbers from 0 to {self.vocabulary - 1}",
                fix="give int64 indices of its vocabulary",
            )


def checked_batches(made: Callable[[], object], rules: BatchRules, file: Path) -> Iterator[Batch]:
    """The batches of the iterable that ``made()`` gives, checked; empty ones are left out.

    Raises:
        InputError: the caller's code fails, gives no batch, or none but empty ones without end; only some have labels.
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
        empty = 0 if len(inputs) else empty + 1
        if empty > COUNTED:
            raise InputError(
                f"{rules.name} has no image in {COUNTED} batches", why="they are empty", fix="end it, or give images"
            )
        if len(inputs):
            yield inputs, labels
    if number < 0:
        raise InputError(f"{rules.name} is empty", why="the factory gave no batch", fix="give at least one batch")


def _each(made: Callable[[], object], name: str, file: Path) -> Iterator[object]:
    """What the iterable gives; its failures are told with the number of the batch."""
    fix = "make the factory's batches readable to the end"
    with told_as_the_callers(f"{name} failed at batch 0", fix, file):
        iterator = iter(made())  # type: ignore[call-overload]  # what is no iterable is told as any other failure
    number = 0
    while True:
        with told_as_the_callers(f"{name} failed at batch {number}", fix, file):
            try:
                batch = next(iterator)
            except StopIteration:
                return
        yield batch
        number += 1


def _require_for_logits(labels: Tensor, logits: tuple[int, ...], what: str) -> None:
    if tuple(labels.shape[1:]) != logits[1:]:
        raise InputError(
            f"{what} has labels of shape {list(labels.shape)}",
            why=f"the model gives logits {['B', *logits]}, and takes one label for each decision",
            fix="give indices of classes: labels [B] for logits [B, classes]",
        )
    require_classes(labels, logits[0], what)


def _require_plain(inputs: Tensor, what: str) -> None:
    if inputs.is_nested or inputs.layout != torch.strided:
        kind = "nested" if inputs.is_nested else str(inputs.layout).removeprefix("torch.")
        raise InputError(f"{what} is {kind}", why="a model reads dense tensors", fix="give batch.to_dense()")
    if inputs.device.type != "cpu":
        raise InputError(f"{what} is on {inputs.device}", why="everything runs on the CPU", fix="give batch.cpu()")
    if inputs.dtype not in _DTYPES:
        raise InputError(
            f"{what} is of {inputs.dtype}", why="a model reads real or whole numbers", fix="give batch.float()"
        )
